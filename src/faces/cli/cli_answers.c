#include "cli_answers.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "report.h"

static bool says_yes(const char *question)
{
    char line[16];

    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    return fgets(line, sizeof line, stdin) && (line[0] == 'y' || line[0] == 'Y');
}

/* True if a person has said yes just now. */
static bool answer(enum kl_doubt doubt, const char *text, bool ask)
{
    struct kl_doubt_info info = kl_doubt_info(doubt);

    kl_report_error("%s", text);
    if (ask && isatty(STDIN_FILENO) && isatty(STDERR_FILENO) && says_yes(info.question))
        return true;
    kl_report_error("no key leaves before that is answered. %s If so: %s", info.question,
                    info.option);
    return false;
}

/* True: it is to be tried again. */
static bool has_changed(enum kl_store_open_result result, struct kl_store_options *options,
                        bool ask, const char *error)
{
    if (result != KL_STORE_DOUBT || !answer(*options->doubt, error, ask))
        return false;
    KL_ASSERT((options->answers >> *options->doubt & 1) == 0);
    options->answers |= 1u << *options->doubt;
    return true;
}

enum kl_exit answers_open(struct kl_store_options *options, bool ask, answers_wait_fn *wait,
                          void *ctx, struct kl_store **out)
{
    static const enum kl_exit statuses[] = {
        [KL_STORE_OPENED] = KL_EXIT_OK,   [KL_STORE_BAD_CSV] = KL_EXIT_INPUT,
        [KL_STORE_HELD] = KL_EXIT_HELD,   [KL_STORE_BROKEN] = KL_EXIT_STORE,
        [KL_STORE_DOUBT] = KL_EXIT_DOUBT, [KL_STORE_AWAY] = KL_EXIT_STORE,
    };
    enum kl_store_open_result result;
    char error[KL_TEXT_MAX] = "";
    enum kl_doubt doubt;

    options->doubt = &doubt;
    do {
        result = kl_store_open(options, out, error);
    } while (has_changed(result, options, ask, error) ||
             (result == KL_STORE_AWAY && wait && wait(ctx, error)));
    options->doubt = NULL;
    if (result != KL_STORE_OPENED && result != KL_STORE_DOUBT)
        kl_report_error("%s", error);
    return statuses[result];
}
