/* fleet_db_why.c: what the server's and libpq's refusals mean. */
#include <string.h>

#include "fleet_db_link.h"

static const char *const cause_text[] = {
#define X(name, text) text,
    KL_FDB_CAUSES(X)
#undef X
};

const char *kl_fdb_cause_text(enum kl_fdb_cause cause)
{
    KL_ASSERT((unsigned)cause < KL_FDB_CAUSE_COUNT);
    return cause_text[cause];
}

/* The longest prefix that fits counts; so the more special ones come first. */
static const struct {
    const char *prefix;
    enum kl_fdb_cause cause;
    enum kl_fleet_refusal refusal; /* NONE: DOWN */
} known[] = {
    {"KL001", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_FENCE},
    {"KL002", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_CLOSED},
    {"KL003", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_LOST},
    {"KL004", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_UNKNOWN},
    {"KL005", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_CAP},
    {"KL006", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_CONFLICT},
    {"KL007", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_VERSION},
    {"KL008", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_COPY},
    {"25006", KL_FDB_CAUSE_READ_ONLY, KL_FLEET_NO_NONE},
    {"42501", KL_FDB_CAUSE_RIGHTS, KL_FLEET_NO_UNKNOWN},
    {"3F000", KL_FDB_CAUSE_NO_POOL, KL_FLEET_NO_UNKNOWN},
    {"42883", KL_FDB_CAUSE_REFUSED, KL_FLEET_NO_VERSION},
    {"42P01", KL_FDB_CAUSE_NO_POOL, KL_FLEET_NO_UNKNOWN},
    {"3D000", KL_FDB_CAUSE_NO_POOL, KL_FLEET_NO_NONE},
    {"53100", KL_FDB_CAUSE_FULL, KL_FLEET_NO_NONE},
    {"53", KL_FDB_CAUSE_BUSY, KL_FLEET_NO_NONE},
    {"55P03", KL_FDB_CAUSE_BUSY, KL_FLEET_NO_NONE},
    {"40", KL_FDB_CAUSE_BUSY, KL_FLEET_NO_NONE},
    {"23505", KL_FDB_CAUSE_BUSY, KL_FLEET_NO_NONE}, /* somebody else was quicker: again */
    {"57014", KL_FDB_CAUSE_SLOW, KL_FLEET_NO_NONE},
    {"57P", KL_FDB_CAUSE_UNREACHABLE, KL_FLEET_NO_NONE},
    {"08", KL_FDB_CAUSE_UNREACHABLE, KL_FLEET_NO_NONE},
    {"28", KL_FDB_CAUSE_PASSWORD, KL_FLEET_NO_NONE},
};

/* What is shown on one line of a terminal. */
static void keep_first_line(char *out, const char *text)
{
    size_t n = 0;

    for (; *text != '\0' && *text != '\n' && n < KL_TEXT_MAX - 1; text++)
        out[n++] = (unsigned char)*text < ' ' || *text == 0x7f ? ' ' : *text;
    out[n] = '\0';
}

enum kl_fleet_result kl_fdb_judge(const char *sqlstate, const char *message, struct kl_fdb_why *why)
{
    char line[KL_TEXT_MAX];

    *why = (struct kl_fdb_why){.cause = KL_FDB_CAUSE_OTHER};
    for (size_t i = 0; sqlstate && i < sizeof known / sizeof known[0]; i++) {
        if (strncmp(sqlstate, known[i].prefix, strlen(known[i].prefix)) != 0)
            continue;
        why->cause = known[i].cause;
        why->refusal = known[i].refusal;
        break;
    }
    if (sqlstate)
        kl_copy(why->sqlstate, sizeof why->sqlstate, sqlstate);
    keep_first_line(line, message ? message : "");
    if (why->cause == KL_FDB_CAUSE_REFUSED)
        kl_copy(why->text, sizeof why->text, line);
    else
        kl_format(why->text, sizeof why->text, "%s%s%s", cause_text[why->cause],
                  line[0] != '\0' ? ": " : "", line);
    return why->refusal == KL_FLEET_NO_NONE ? KL_FLEET_DOWN : KL_FLEET_REFUSED;
}
