/* events.c: the event stream of a run, read as any consumer would. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "e2e.h"

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));

    return s ? s : "";
}

/* Every line is an object with time and event. */
static json_t *read_events(struct bench *b)
{
    char *all = file_read(scratch_path(&b->dir, "events.json"), NULL), *save = NULL;
    json_t *list = json_array();

    CHECK(all, "events.json");
    bench_check_secret(b, "the event stream", all);
    for (char *line = strtok_r(all, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL);
        CHECK(o && strlen(text(o, "time")) == 24 && text(o, "event")[0], "no event: %s", line);
        json_array_append_new(list, o);
    }
    free(all);
    return list;
}

void bench_outcome(struct bench *b, unsigned n, struct outcome *out)
{
    json_t *list = read_events(b), *o;
    size_t i;

    *out = (struct outcome){0};
    json_array_foreach(list, i, o)
    {
        if (strcmp(text(o, "event"), "result") != 0 || strcmp(text(o, "port"), b->url[n]) != 0)
            continue;
        snprintf(out->result, sizeof out->result, "%s", text(o, "result"));
        snprintf(out->reason, sizeof out->reason, "%s", text(o, "reason"));
        snprintf(out->label, sizeof out->label, "%s", text(o, "label"));
        snprintf(out->mac, sizeof out->mac, "%s", text(o, "mac"));
        out->tries = (int)json_integer_value(json_object_get(o, "tries"));
        out->already = json_is_true(json_object_get(o, "already"));
    }
    json_decref(list);
}

unsigned bench_events(struct bench *b, const char *event, const char *what)
{
    json_t *list = read_events(b), *o;
    unsigned n = 0;
    size_t i;

    json_array_foreach(list, i, o)
    {
        n += strcmp(text(o, "event"), event) == 0 && (!what || strcmp(text(o, "what"), what) == 0);
    }
    json_decref(list);
    return n;
}
