/*
 * Fuzzes the handover with an arbitrary board and arbitrary moments: it must never send without
 * having been asked and told to, never repeat itself too soon, never sleep without a deadline, and
 * never show a key.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/handover.h"
#include "keyline/bundle_load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SECRET "D56789ab00EF01230456C0fe11dd22ee"

static const char *const texts[] = {
    "Provisioning\r\n",
    "Provisioned\r\n",
    "Error: no\n",
    "Key1: unit-7\nKey2: " SECRET "\nKey3: OpenSesame42xyz\n",
    "Key1: unit-7\n",
    "Key2: " SECRET "\r",
    "ets Jul 29 2019 12:21:46\r\n",
    "rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n",
    "I (12) wifi: x: y\n",
    "invalid header: 0xffffffff\n",
    "k: sha256:0000000000000000000000000000000000000000000000000000000000000000\n",
    "Guru Meditation Error: Core  1 panic'ed (x)\n",
    "D5 67 89 ab 00 EF 01 23\n",
    "OpenSesame",
    "\n",
    "\x1b[0m",
};

struct run {
    struct kl_console console;
    struct kl_handover h;
    struct kl_key key;          /* as custody holds it */
    char line[KL_LINE_MAX + 2]; /* as it goes out */
    size_t written;             /* of it */
    kl_us now, last_write;
    bool told, wrote;
};

static void check_text(const char *text)
{
    if (!memchr(text, '\0', KL_TEXT_MAX))
        abort();
    for (size_t i = 0; i + 8 <= strlen(SECRET); i++) {
        char part[9] = {0};
        memcpy(part, &SECRET[i], 8);
        if (strstr(text, part))
            abort();
    }
    if (strstr(text, "Sesame42"))
        abort();
}

static void pull(struct run *r)
{
    struct kl_handover_event ev;
    char text[KL_TEXT_MAX];
    struct kl_io io;

    while (kl_console_next(&r->console, text))
        check_text(text);
    check_text(kl_console_detail(&r->console));
    check_text(kl_console_near_prompt(&r->console));
    check_text(kl_console_answer(&r->console));
    check_text(kl_console_refusal(&r->console));
    while (kl_handover_event(&r->h, &ev)) {
        if (ev.kind == KL_HO_ACK && !r->wrote)
            abort();
        if (ev.kind == KL_HO_HOLDS && ev.matches &&
            !kl_fingerprint_equal(&ev.fingerprint, &r->key.fingerprint))
            abort();
        if ((ev.kind == KL_HO_TIMEOUT || ev.kind == KL_HO_TROUBLE) && ev.reason == KL_FAULT_NONE)
            abort();
    }
    while (kl_handover_next(&r->h, &io)) {
        if (!r->told || !io.secret || kl_handover_phase(&r->h) != KL_HO_SENDING)
            abort();
        size_t whole = strlen(r->line);
        if (r->written == 0 && r->wrote && r->now - r->last_write < KL_MS(1500))
            abort();
        if (io.size == 0 || r->written + io.size > whole ||
            memcmp(io.data, r->line + r->written, io.size) != 0)
            abort();
        r->written = (r->written + io.size) % whole;
        r->wrote = true;
        r->last_write = r->now;
    }
    if ((kl_handover_deadline(&r->h) == KL_NEVER) != (kl_handover_phase(&r->h) == KL_HO_REST))
        abort();
}

static void wait_until(struct run *r, kl_us end)
{
    for (int i = 0; i < 50 && kl_handover_deadline(&r->h) <= end; i++) {
        if (kl_handover_deadline(&r->h) > r->now)
            r->now = kl_handover_deadline(&r->h);
        kl_handover_tick(&r->h, r->now);
        if (kl_handover_deadline(&r->h) <= r->now)
            abort(); /* would spin */
        pull(r);
    }
    if (end > r->now)
        r->now = end;
}

static void start(struct run *r, uint8_t how)
{
    static const char *const fields[] = {"unit-7 and more than one piece of it", SECRET,
                                         "OpenSesame42xyz"};
    struct kl_handover_setup setup = {.console = &r->console,
                                      .prompt_timeout = KL_SEC(20),
                                      .ack_timeout = KL_SEC(5),
                                      .fields = how & 2 ? 3 : how >> 4,
                                      .sha256 = kl_sha256};
    struct kl_span spans[3];

    for (int i = 0; i < 3; i++)
        spans[i] = (struct kl_span){(const uint8_t *)fields[i], strlen(fields[i])};
    if (!kl_key_build(&r->key, spans, 3, kl_sha256))
        abort();
    snprintf(r->line, sizeof r->line, "%s\n", r->key.line);
    r->now = KL_SEC(1);
    kl_console_init(&r->console, &r->key, NULL);
    kl_handover_init(&r->h, &setup);
    kl_handover_listen(&r->h, &r->key, r->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run r;

    if (size < 1)
        return 0;
    memset(&r, 0, sizeof r);
    start(&r, data[0]);
    for (size_t i = 1; i < size; i++) {
        uint8_t op = data[i];
        if (op >= 0xf0) {
            const char *text = texts[op & 15];
            for (size_t at = 0; at < strlen(text);)
                at += kl_handover_rx(&r.h, (const uint8_t *)text + at, strlen(text) - at, r.now);
        } else if (op >= 0xe0) {
            wait_until(&r, r.now + KL_MS(100) * (1 << (op & 7)));
        } else if (op >= 0xd8 && kl_handover_phase(&r.h) == KL_HO_ASKED) {
            kl_handover_send(&r.h, &r.key, r.now);
            r.told = true;
            r.wrote = false;
            r.written = 0;
        } else if (op < 0xd8) {
            kl_handover_rx(&r.h, &op, 1, r.now);
        }
        if (op & 1 || op >= 0xd8)
            pull(&r);
    }
    kl_handover_finish(&r.h);
    if (kl_handover_deadline(&r.h) != KL_NEVER)
        abort();
    return 0;
}
