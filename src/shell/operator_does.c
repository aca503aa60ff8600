/*
 * operator_does.c: does what an operator asks for, or refuses it in words. Tells the faces what it
 * did, and keeps that in the history with the operator's name.
 */
#include <stdlib.h>
#include <string.h>

#include "shell_private.h"

static bool is_possible(struct kl_shell *sh, const struct kl_command *c, char error[KL_TEXT_MAX])
{
    const char *why = NULL;

    if (c->kind == KL_CMD_RELEASE)
        why = kl_station_unreleasable(sh->station, &c->fingerprint);
    else if (c->kind == KL_CMD_BIND)
        why = kl_station_unbindable(sh->station, c->slot, c->argument);

    if (why)
        kl_copy(error, KL_TEXT_MAX, why);
    return !why;
}

/* ---- the record ---- */

static void tell_faces(struct kl_shell *sh, const struct kl_command *c,
                       const struct kl_slot_view *slot, const char *text)
{
    struct kl_note note = {
        .kind = KL_NOTE_COMMAND,
        .slot = slot ? c->slot : KL_BENCH,
        .command = c,
        .text = text,
        .label = slot ? slot->label : "",
        .identity = slot ? &slot->identity : NULL,
    };

    tell(sh, &note);
}

static void keep(struct kl_shell *sh, const struct kl_command *c, const struct kl_slot_view *slot)
{
    struct kl_action request = {.kind = KL_AC_STORE, .slot = c->slot};
    char reason[KL_TEXT_MAX];

    kl_format(reason, sizeof reason, "by %s%s%s%s%s",
              c->operator_name[0] ? c->operator_name : "an unknown operator", slot ? ", slot " : "",
              slot ? slot->name : "", c->argument[0] ? ": " : "", c->argument);
    request.u.store.op = KL_OP_COMMAND;
    request.u.store.command = c->kind;
    request.u.store.fingerprint = c->fingerprint;
    request.u.store.label = slot ? slot->label : "";
    request.u.store.reason = reason;
    if (slot)
        request.u.store.mac = slot->identity.mac;
    kl_store_submit(sh->store, &request);
}

static void record(struct kl_shell *sh, const struct kl_command *c)
{
    struct kl_snapshot *snap = malloc(sizeof *snap);
    const struct kl_slot_view *slot = NULL;
    char text[2 * KL_TEXT_MAX];

    KL_ASSERT(snap);
    kl_station_look(sh->station, snap);
    if (kl_command_info(c->kind).has_slot && c->slot < snap->slot_count)
        slot = &snap->slot[c->slot];
    kl_format(text, sizeof text, "%s %s%s%s",
              c->operator_name[0] ? c->operator_name : "an operator", kl_command_info(c->kind).did,
              c->argument[0] ? ": " : "", c->argument);
    tell_faces(sh, c, slot, text);
    keep(sh, c, slot);
    free(snap);
}

/* Of the others the shell does those about ports; an export needs only the record. */
static bool is_the_stations(enum kl_command_kind kind)
{
    return kind != KL_CMD_ADD_PORT && kind != KL_CMD_REMOVE_PORT && kind != KL_CMD_EXPORT;
}

/* The history keeps what was asked, and not the id of the question. */
static bool accept_list(struct kl_shell *sh, const struct kl_command *c, char error[KL_TEXT_MAX])
{
    struct kl_command answer = *c;

    kl_copy(answer.argument, sizeof answer.argument, sh->question.text);
    if (!kl_store_answer(sh->store, c->argument)) {
        kl_copy(error, KL_TEXT_MAX,
                sh->question.id[0] ? "the list has changed again: see what is asked now"
                                   : "nothing is asked about the list of keys");
        return false;
    }
    record(sh, &answer);
    return true;
}

bool kl_shell_command(struct kl_shell *sh, const struct kl_command *c, char error[KL_TEXT_MAX])
{
    bool good = sh->phase == PHASE_RUNNING;

    if (!good)
        kl_copy(error, KL_TEXT_MAX, "the station is ending");
    else if (c->kind == KL_CMD_ADD_PORT)
        good = add_port(sh, c->argument, error);
    else if (c->kind == KL_CMD_REMOVE_PORT)
        good = remove_port(sh, c->slot, error);
    else if (c->kind == KL_CMD_ACCEPT)
        return accept_list(sh, c, error);
    else
        good = is_possible(sh, c, error);
    if (!good)
        return false;
    record(sh, c);
    if (is_the_stations(c->kind))
        push_event(sh, KL_EV_COMMAND, c->slot)->event.u.command = *c;
    return true;
}
