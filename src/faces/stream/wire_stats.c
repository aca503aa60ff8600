/* wire_stats.c: the figures of stats.h as a line, and back. */
#include <string.h>

#include "json_text.h"
#include "wire_private.h"

static json_t *slot_object(const struct kl_stats_slot *s)
{
    json_t *reasons = json_object();

    for (unsigned i = 0; i < KL_STATS_REASONS && s->reason[i].count > 0; i++)
        json_object_set_new(reasons, kl_fault_info(s->reason[i].reason).name,
                            json_integer(s->reason[i].count));
    return json_pack("{s:o,s:i,s:i,s:i,s:i,s:I,s:I,s:i,s:b,s:o}", "name", kl_json_text(s->name),
                     "turns", (int)s->turns, "done", (int)s->done, "failed", (int)s->failed,
                     "first_pass", (int)s->first_pass, "median", (json_int_t)s->median, "last",
                     (json_int_t)s->last, "baud", (int)s->baud, "worse", s->worse, "reasons",
                     reasons);
}

char *kl_wire_stats(const struct kl_stats_view *v)
{
    json_t *slots = json_array();

    for (unsigned i = 0; i < v->slot_count; i++)
        json_array_append_new(slots, slot_object(&v->slot[i]));
    return wire_line(json_pack(
        "{s:{s:i,s:i,s:i,s:i,s:I,s:o,s:s,s:o}}", "stats", "done", (int)v->done, "failed",
        (int)v->failed, "first_pass", (int)v->first_pass, "boards_per_hour",
        (int)v->boards_per_hour, "last_took", (json_int_t)v->last_took, "last_slot",
        kl_json_text(v->last_slot), "last_result", kl_state_name(v->last_result), "slots", slots));
}

static uint32_t number(const json_t *o, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(o, name));

    return n > 0 && n <= UINT32_MAX ? (uint32_t)n : 0;
}

static kl_us span(const json_t *o, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(o, name));

    return n > 0 ? (kl_us)n : 0;
}

static void decode_slot(json_t *o, struct kl_stats_slot *s)
{
    const char *name;
    json_t *value;
    unsigned n = 0;

    *s = (struct kl_stats_slot){
        .turns = number(o, "turns"),
        .done = number(o, "done"),
        .failed = number(o, "failed"),
        .first_pass = number(o, "first_pass"),
        .median = span(o, "median"),
        .last = span(o, "last"),
        .baud = number(o, "baud"),
        .worse = json_is_true(json_object_get(o, "worse")),
    };
    kl_copy(s->name, sizeof s->name, wire_text(o, "name"));
    json_object_foreach(json_object_get(o, "reasons"), name, value)
    {
        if (n == KL_STATS_REASONS)
            break;
        s->reason[n].reason = wire_reason(name);
        s->reason[n++].count = (unsigned)json_integer_value(value);
    }
}

void wire_decode_stats(const json_t *o, struct kl_stats_view *out)
{
    size_t i;
    json_t *slot;

    *out = (struct kl_stats_view){
        .done = number(o, "done"),
        .failed = number(o, "failed"),
        .first_pass = number(o, "first_pass"),
        .boards_per_hour = number(o, "boards_per_hour"),
        .last_took = span(o, "last_took"),
        .last_result = wire_state(wire_text(o, "last_result")),
    };
    kl_copy(out->last_slot, sizeof out->last_slot, wire_text(o, "last_slot"));
    json_array_foreach(json_object_get(o, "slots"), i, slot)
    {
        if (i == KL_SLOTS_MAX)
            break;
        decode_slot(slot, &out->slot[i]);
        out->slot_count++;
    }
}
