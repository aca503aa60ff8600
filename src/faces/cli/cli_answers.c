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

enum kl_exit answers_open(struct kl_store_options *options, bool ask, struct kl_store **out)
{
    static const enum kl_exit statuses[] = {
        [KL_STORE_OPENED] = KL_EXIT_OK,   [KL_STORE_BAD_CSV] = KL_EXIT_INPUT,
        [KL_STORE_HELD] = KL_EXIT_HELD,   [KL_STORE_BROKEN] = KL_EXIT_STORE,
        [KL_STORE_DOUBT] = KL_EXIT_DOUBT,
    };
    enum kl_store_open_result result;
    char error[KL_TEXT_MAX] = "";
    enum kl_doubt doubt;

    options->doubt = &doubt;
    while ((result = kl_store_open(options, out, error)) == KL_STORE_DOUBT &&
           answer(doubt, error, ask)) {
        KL_ASSERT((options->answers >> doubt & 1) == 0);
        options->answers |= 1u << doubt;
    }
    options->doubt = NULL;
    if (result != KL_STORE_OPENED && result != KL_STORE_DOUBT)
        kl_report_error("%s", error);
    return statuses[result];
}
