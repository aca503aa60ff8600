/*
 * vserver.c: virtual boards in real time: who is in which place, plugging and unplugging, and one
 * precise timer for all (a timerfd: libuv's own timers count whole milliseconds).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "vboard_inside.h"
#include "vserver_inside.h"

kl_us server_now(void)
{
    return (kl_us)(uv_hrtime() / 1000);
}

void server_emit(struct place *p, enum kl_vserver_event_kind kind)
{
    struct kl_vserver *s = p->server;

    if (s->config.event && !s->closing)
        s->config.event(s->config.ctx, p->index + 1, kind);
}

/* ---- closing ---- */

static void free_server(struct kl_vserver *s)
{
    for (unsigned i = 0; i < s->place_count; i++)
        kl_vboard_destroy(s->place[i].board);
    for (unsigned i = 0; i < s->config.fault_count; i++)
        free(s->faults[i]);
    free(s->faults);
    free(s->state);
    if (s->timer_fd >= 0)
        close(s->timer_fd);
    free(s);
}

void server_handle_closed(struct kl_vserver *s)
{
    if (--s->handles > 0 || !s->closing)
        return;
    void (*closed)(void *ctx) = s->closed;
    void *ctx = s->closed_ctx;
    free_server(s);
    if (closed)
        closed(ctx);
}

static void on_closed(uv_handle_t *handle)
{
    server_handle_closed(handle->data);
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct kl_vserver *s = handle->data;

    free(handle);
    server_handle_closed(s);
}

static void stop_listening(struct place *p)
{
    if (!p->listener)
        return;
    p->listener->data = p->server;
    uv_close((uv_handle_t *)p->listener, on_listener_closed);
    p->listener = NULL;
}

/* ---- boards ---- */

/* The next MAC that no board had before: counts up from the base of the configuration or the
   chip. */
static struct kl_mac next_mac(struct kl_vserver *s, enum kl_chip_id chip)
{
    struct kl_mac mac = s->config.mac;

    if (!kl_mac_is_set(&mac)) {
        memcpy(mac.b, vchip(chip)->oui, 3);
        mac.b[5] = 1;
    }
    uint32_t low = (uint32_t)mac.b[3] << 16 | (uint32_t)mac.b[4] << 8 | mac.b[5];
    low += s->made++;
    mac.b[3] = (uint8_t)(low >> 16);
    mac.b[4] = (uint8_t)(low >> 8);
    mac.b[5] = (uint8_t)low;
    return mac;
}

/* "2:boot_loop" is for board 2, "boot_loop" for all. NULL if it is not for this place. */
static const char *fault_for(const char *list, unsigned number)
{
    char *end;
    unsigned long only = strtoul(list, &end, 10);

    if (end == list || *end != ':')
        return list;
    return only == number ? end + 1 : NULL;
}

static void make_board(struct place *p, bool with_faults)
{
    struct kl_vserver *s = p->server;
    struct kl_vboard_config config = s->config.board;
    char error[KL_TEXT_MAX];

    config.chip = p->chip;
    config.mac = p->mac;
    config.faults = NULL;
    if (s->config.firmware_count > 0)
        config.firmware = s->config.firmware[p->index % s->config.firmware_count];
    config.seed = s->config.board.seed + p->index * 1000003u + p->mac.b[5];
    char faults[1024] = "";
    size_t used = 0;
    for (unsigned i = 0; with_faults && i < s->config.fault_count; i++) {
        const char *list = fault_for(s->faults[i], p->index + 1);
        if (list && list[0] && kl_vboard_fault_check(list, error) &&
            used + strlen(list) + 2 < sizeof faults)
            used += kl_format(faults + used, sizeof faults - used, used ? ",%s" : "%s", list);
    }
    config.faults = faults;
    p->board = kl_vboard_create(&config);
    KL_ASSERT(p->board);
    p->known_stores = p->known_seen = 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
    if (status == 0)
        client_accept(listener->data, listener);
}

static int bind_to(struct place *p, uv_tcp_t *tcp, uint16_t port)
{
    struct sockaddr_storage address;
    int error = uv_ip4_addr(p->server->host, port, (struct sockaddr_in *)&address);

    if (error)
        error = uv_ip6_addr(p->server->host, port, (struct sockaddr_in6 *)&address);
    return error ? error : uv_tcp_bind(tcp, (struct sockaddr *)&address, 0);
}

static int start_listening(struct place *p)
{
    uv_tcp_t *tcp = calloc(1, sizeof *tcp);

    KL_ASSERT(tcp);
    uv_tcp_init(p->server->loop, tcp);
    p->server->handles++;
    tcp->data = p;
    p->listener = tcp;
    int error = bind_to(p, tcp, p->port);
    if (!error)
        error = uv_listen((uv_stream_t *)tcp, 8, on_connection);
    if (error)
        stop_listening(p);
    return error;
}

static void unplug(struct place *p, enum coming coming, kl_us after)
{
    p->plugged = false;
    p->coming = coming;
    p->comes_at = server_now() + after;
    p->held_until = 0;
    client_drop(p);
    stop_listening(p);
    kl_vboard_power(p->board, false, server_now());
    state_save_record(p);
    state_save_image(p);
    server_emit(p, KL_VS_UNPLUGGED);
}

static bool plug(struct place *p)
{
    p->coming = NOTHING_COMES;
    if (start_listening(p) != 0)
        return false;
    p->plugged = true;
    p->dtr = p->rts = false;
    p->quiet_since = server_now();
    kl_vboard_lines(p->board, false, false, p->quiet_since);
    kl_vboard_power(p->board, true, p->quiet_since);
    state_save_record(p);
    server_emit(p, KL_VS_PLUGGED);
    return true;
}

static void make_fresh(struct place *p)
{
    state_forget_image(p);
    kl_vboard_destroy(p->board);
    p->mac = next_mac(p->server, p->chip);
    make_board(p, p->server->config.faults_stay);
    state_save_record(p);
    state_save_places(p->server);
}

/* ---- time ---- */

static bool replacement_due(const struct place *p, kl_us now)
{
    kl_us after = p->server->config.replace_after;

    return after > 0 && p->plugged && kl_vboard_stored(p->board)[0] &&
           now - p->quiet_since >= after;
}

static void note_changes(struct place *p, bool *stored)
{
    unsigned stores = kl_vboard_store_count(p->board), seen = kl_vboard_lines_seen(p->board);

    if (kl_vboard_is_behind(p->board)) /* a loader's work: looked at when it is done */
        return;
    if (!kl_vboard_refresh(p->board) && stores == p->known_stores && seen == p->known_seen)
        return;
    *stored = stores != p->known_stores;
    p->known_stores = stores;
    p->known_seen = seen;
    p->quiet_since = server_now();
    state_save_record(p);
    if (*stored)
        state_save_image(p);
}

static kl_us due(const struct place *p)
{
    kl_us at = KL_NEVER, after = p->server->config.replace_after;

    if (!p->plugged)
        return p->coming == NOTHING_COMES ? KL_NEVER : p->comes_at;
    at = kl_vboard_deadline(p->board);
    if (p->held_until && p->held_until < at)
        at = p->held_until;
    if (after > 0 && kl_vboard_stored(p->board)[0] && p->quiet_since + after < at)
        at = p->quiet_since + after;
    return at;
}

static void on_idle(uv_idle_t *idle);

static void note_due(struct place *p)
{
    struct kl_vserver *s = p->server;
    kl_us at = due(p);

    if (at < s->first_due)
        s->first_due = at;
    if (kl_vboard_is_behind(p->board))
        uv_idle_start(&s->idle, on_idle);
}

/* Saves what a board holds before anybody can hear of it. */
void server_pump(struct place *p)
{
    uint8_t bytes[4096];
    bool stored = false;
    kl_us now = server_now();
    size_t n;

    if (!p->plugged)
        return;
    kl_vboard_tick(p->board, now);
    note_changes(p, &stored);
    while ((n = kl_vboard_tx(p->board, bytes, sizeof bytes, now)) > 0)
        if (p->client)
            client_data(p->client, bytes, n);
    if (p->client)
        client_flush(p->client);
    if (kl_vboard_unplugged(p->board)) {
        kl_us after = p->server->config.replug_after;
        unplug(p, after > 0 ? BOARD_RETURNS : NOTHING_COMES, after);
    } else if (stored) {
        server_emit(p, KL_VS_STORED);
    }
    note_due(p);
}

/* One board a turn of the loop, so that whatever is due meanwhile waits for one only. */
static void on_idle(uv_idle_t *idle)
{
    struct kl_vserver *s = idle->data;

    for (unsigned i = 0; i < s->place_count && !s->closing; i++) {
        struct place *p = &s->place[s->idle_at++ % s->place_count];
        if (!kl_vboard_catch_up(p->board))
            continue;
        server_pump(p);
        return;
    }
    uv_idle_stop(idle);
}

static void place_due(struct place *p, kl_us now)
{
    if (!p->plugged) {
        if (p->coming == FRESH_BOARD_COMES)
            make_fresh(p);
        if (!plug(p)) { /* somebody has the port: try later */
            p->coming = BOARD_RETURNS;
            p->comes_at = now + KL_SEC(1);
        }
        return;
    }
    if (p->held_until && p->held_until <= now)
        client_lines_due(p);
    if (replacement_due(p, now))
        unplug(p, FRESH_BOARD_COMES, p->server->config.replace_gap);
    else
        server_pump(p);
}

/* Also between one client's bytes and the next one's: what a board has to say does not wait until
   all the others have been heard. */
void server_run_due(struct kl_vserver *s)
{
    kl_us now = server_now();

    if (now < s->first_due)
        return;
    s->first_due = KL_NEVER;
    for (unsigned i = 0; i < s->place_count && !s->closing; i++) {
        kl_us at = due(&s->place[i]);
        if (at <= now)
            place_due(&s->place[i], now);
        else if (at < s->first_due)
            s->first_due = at;
    }
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    struct kl_vserver *s = poll->data;
    uint64_t expired;

    (void)status;
    (void)events;
    if (read(s->timer_fd, &expired, sizeof expired) < 0)
        return;
    s->armed = 0;
    server_run_due(s);
}

/* Runs once per turn of the loop, after everything that could change a deadline. */
static void on_arm(uv_prepare_t *prepare)
{
    struct kl_vserver *s = prepare->data;
    struct itimerspec spec = {{0, 0}, {0, 0}};
    kl_us first = KL_NEVER;

    for (unsigned i = 0; i < s->place_count; i++) {
        kl_us at = due(&s->place[i]);
        if (at < first)
            first = at;
    }
    s->first_due = first;
    if (first < 1)
        first = 1;
    if (first == s->armed)
        return;
    s->armed = first;
    if (first != KL_NEVER) {
        spec.it_value.tv_sec = (time_t)(first / 1000000);
        spec.it_value.tv_nsec = (long)(first % 1000000 * 1000);
    }
    timerfd_settime(s->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

/* ---- the contract ---- */

static bool copy_config(struct kl_vserver *s, const struct kl_vserver_config *config,
                        char error[KL_TEXT_MAX])
{
    s->config = *config;
    kl_copy(s->host, sizeof s->host, config->host ? config->host : "127.0.0.1");
    s->faults = calloc(config->fault_count + 1, sizeof *s->faults);
    KL_ASSERT(s->faults);
    s->config.fault_count = 0;
    for (unsigned i = 0; i < config->fault_count; i++) {
        const char *list = config->faults[i], *colon = strchr(list, ':');
        if (colon && fault_for(list, (unsigned)strtoul(list, NULL, 10)) == colon + 1)
            list = colon + 1;
        if (!kl_vboard_fault_check(list, error))
            return false;
        s->faults[i] = strdup(config->faults[i]);
        s->config.fault_count++;
    }
    s->state = config->state ? strdup(config->state) : NULL;
    return !s->state || state_open(s, error);
}

static bool open_timer(struct kl_vserver *s)
{
    s->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (s->timer_fd < 0 || uv_poll_init(s->loop, &s->timer, s->timer_fd) != 0)
        return false;
    uv_prepare_init(s->loop, &s->arm);
    uv_idle_init(s->loop, &s->idle);
    s->handles += 3;
    s->timer.data = s->arm.data = s->idle.data = s;
    return uv_poll_start(&s->timer, UV_READABLE, on_timer) == 0 &&
           uv_prepare_start(&s->arm, on_arm) == 0;
}

static bool reserve(struct place *p, uint16_t port, char error[KL_TEXT_MAX])
{
    struct sockaddr_storage address;
    int size = sizeof address;

    uv_tcp_init(p->server->loop, &p->reserve);
    p->server->handles++;
    p->reserve.data = p->server;
    int result = bind_to(p, &p->reserve, port);
    if (!result)
        result = uv_tcp_getsockname(&p->reserve, (struct sockaddr *)&address, &size);
    if (result) {
        kl_format(error, KL_TEXT_MAX, "board %u can't listen on %s:%u: %s", p->index + 1,
                  p->server->host, port, uv_strerror(result));
        return false;
    }
    /* the port stands at the same place in both families */
    p->port = ntohs(((struct sockaddr_in *)&address)->sin_port);
    return true;
}

static bool open_place(struct kl_vserver *s, unsigned i, char error[KL_TEXT_MAX])
{
    struct place *p = &s->place[i];

    p->server = s;
    p->index = i;
    p->chip = s->config.chip_count ? s->config.chips[i % s->config.chip_count] : KL_CHIP_ESP32;
    s->place_count++;
    if (!reserve(p, s->config.port ? (uint16_t)(s->config.port + i) : 0, error))
        return false;
    state_restore_place(p);
    if (!kl_mac_is_set(&p->mac))
        p->mac = next_mac(s, p->chip);
    make_board(p, true);
    if (!state_restore_board(p, error))
        return false;
    p->known_stores = kl_vboard_store_count(p->board);
    p->known_seen = kl_vboard_lines_seen(p->board);
    if (!plug(p)) {
        kl_format(error, KL_TEXT_MAX, "board %u can't listen on %s:%u: the port is taken", i + 1,
                  s->host, p->port);
        return false;
    }
    return true;
}

struct kl_vserver *kl_vserver_create(uv_loop_t *loop, const struct kl_vserver_config *config,
                                     char error[KL_TEXT_MAX])
{
    struct kl_vserver *s = calloc(1, sizeof *s);
    bool good;

    KL_ASSERT(s && config->boards >= 1 && config->boards <= KL_VSERVER_BOARDS_MAX);
    s->loop = loop;
    s->timer_fd = -1;
    s->closing = true; /* no events until all places are open */
    good = copy_config(s, config, error);
    if (good && !open_timer(s)) {
        kl_copy(error, KL_TEXT_MAX, "no timer can be had from this system");
        good = false;
    }
    for (unsigned i = 0; good && i < config->boards; i++)
        good = open_place(s, i, error);
    if (!good) {
        if (s->handles == 0)
            free_server(s);
        else
            kl_vserver_close(s, NULL, NULL); /* freed when the loop runs */
        return NULL;
    }
    s->closing = false;
    state_save_places(s);
    return s;
}

static void close_place(struct place *p)
{
    if (p->board) {
        kl_vboard_tick(p->board, server_now());
        state_save_record(p);
        state_save_image(p);
    }
    client_drop(p);
    stop_listening(p);
    if (!uv_is_closing((uv_handle_t *)&p->reserve))
        uv_close((uv_handle_t *)&p->reserve, on_closed);
}

void kl_vserver_close(struct kl_vserver *s, void (*closed)(void *ctx), void *ctx)
{
    s->closing = true;
    s->closed = closed;
    s->closed_ctx = ctx;
    for (unsigned i = 0; i < s->place_count; i++)
        close_place(&s->place[i]);
    if (s->arm.data) {
        uv_close((uv_handle_t *)&s->arm, on_closed);
        uv_close((uv_handle_t *)&s->timer, on_closed);
        uv_close((uv_handle_t *)&s->idle, on_closed);
    }
}

static struct place *place_of(const struct kl_vserver *s, unsigned board)
{
    KL_ASSERT(board >= 1 && board <= s->place_count);
    return (struct place *)(uintptr_t)&s->place[board - 1];
}

uint16_t kl_vserver_port(const struct kl_vserver *s, unsigned board)
{
    return place_of(s, board)->port;
}

struct kl_vboard *kl_vserver_board(const struct kl_vserver *s, unsigned board)
{
    return place_of(s, board)->board;
}

enum kl_chip_id kl_vserver_chip(const struct kl_vserver *s, unsigned board)
{
    return place_of(s, board)->chip;
}

bool kl_vserver_plugged(const struct kl_vserver *s, unsigned board)
{
    return place_of(s, board)->plugged;
}

void kl_vserver_unplug(struct kl_vserver *s, unsigned board)
{
    struct place *p = place_of(s, board);

    if (p->plugged)
        unplug(p, NOTHING_COMES, 0);
    else
        p->coming = NOTHING_COMES;
}

bool kl_vserver_plug(struct kl_vserver *s, unsigned board)
{
    struct place *p = place_of(s, board);

    if (p->plugged)
        return true;
    if (p->coming == FRESH_BOARD_COMES)
        make_fresh(p);
    return plug(p);
}

bool kl_vserver_replace(struct kl_vserver *s, unsigned board)
{
    struct place *p = place_of(s, board);

    if (p->plugged)
        unplug(p, NOTHING_COMES, 0);
    make_fresh(p);
    return plug(p);
}

bool kl_vserver_fault(struct kl_vserver *s, unsigned board, const char *list,
                      char error[KL_TEXT_MAX])
{
    return kl_vboard_fault(place_of(s, board)->board, list, error);
}
