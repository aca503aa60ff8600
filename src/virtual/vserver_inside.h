/*
 * vserver_inside.h: the inside of the virtual boards' server: places (vserver.c), the client on one
 * of them (vserver_client.c), and the files in the state folder (vserver_state.c).
 */
#ifndef KEYLINE_SERVER_INSIDE_H
#define KEYLINE_SERVER_INSIDE_H

#include "keyline/telnet.h"
#include "keyline/virtual_server.h"

enum {
    OUT_SIZE = 16384,
    HOST_BAUD = 115200,
};

struct place;

/* One connection. Lives until its handle is closed, which may be after its place forgot it. */
struct client {
    uv_tcp_t tcp;
    struct place *place; /* NULL once it was let go */
    struct kl_vserver *server;
    struct kl_telnet telnet;
    uint8_t ours[256], theirs[256]; /* options: enum option_state */
    bool com_port;                  /* modem state was announced */
    uint32_t baud;
    uint8_t data_size, parity, stop_size, flow;
    uint8_t out[OUT_SIZE]; /* gathered for one write */
    size_t out_size;
};

enum coming {
    NOTHING_COMES,
    BOARD_RETURNS,
    FRESH_BOARD_COMES
};

struct place {
    struct kl_vserver *server;
    unsigned index; /* from 0 */
    enum kl_chip_id chip;
    struct kl_mac mac; /* the board's own, even if a fault makes it show another's */
    struct kl_vboard *board;
    uint16_t port;
    uv_tcp_t reserve; /* bound, never listening: nobody else gets the port while unplugged */
    uv_tcp_t *listener;
    struct client *client;
    bool plugged;
    bool dtr, rts;     /* as the client set them */
    kl_us held_until;  /* until then a DTR-on is held back (vserver_client.c); 0 = none */
    kl_us quiet_since; /* nothing came from the host since */
    enum coming coming;
    kl_us comes_at;
    unsigned known_stores, known_seen; /* as last saved */
};

struct kl_vserver {
    uv_loop_t *loop;
    struct kl_vserver_config config;
    char host[64];
    char *state; /* folder, or NULL */
    char **faults;
    unsigned place_count, made; /* boards ever made, for MACs */
    struct place place[KL_VSERVER_BOARDS_MAX];
    int timer_fd;
    uv_poll_t timer;
    uv_prepare_t arm;
    uv_idle_t idle;   /* runs while a board is behind */
    unsigned idle_at; /* the place that it looks at next */
    kl_us first_due;  /* no board that was heard has anything to say before that */
    kl_us armed;      /* when the timer fires; 0 = it has, or never was set */
    unsigned handles; /* not closed yet */
    bool closing;
    void (*closed)(void *ctx);
    void *closed_ctx;
    uint8_t read_buffer[65536];
};

kl_us server_now(void);
void server_pump(struct place *p); /* lets the board act and passes on what the board says */
void server_run_due(struct kl_vserver *s); /* every place in which something is due */
void server_handle_closed(struct kl_vserver *s);
void server_emit(struct place *p, enum kl_vserver_event_kind kind);

/* vserver_client.c */
void client_accept(struct place *p, uv_stream_t *listener);
void client_drop(struct place *p);
void client_data(struct client *c, const uint8_t *data, size_t size); /* from the board */
void client_flush(struct client *c);
void client_lines_due(struct place *p); /* held_until has passed */

/* vserver_state.c: text and image of each board ever made, and which one is where */
bool state_open(struct kl_vserver *s, char error[KL_TEXT_MAX]);
void state_restore_place(struct place *p); /* MAC and chip, if the folder knows them */
bool state_restore_board(struct place *p, char error[KL_TEXT_MAX]);
void state_save_places(struct kl_vserver *s);
void state_save_record(struct place *p);
void state_save_image(struct place *p);
void state_forget_image(struct place *p);

#endif
