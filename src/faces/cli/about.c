#include "about.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "commands.h"
#include "faces/dashboard/terminal.h"
#include "faces/stream/json_text.h"
#include "keyline/bundle_load.h"
#include "keyline/fault.h"
#include "keyline/versions.h"

static int dump(json_t *o)
{
    json_dumpf(o, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(o);
    return fflush(stdout) == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}

/* ---- the version ---- */

int about_version(const char *stub, bool json)
{
    const struct kl_library_version *library = kl_library_versions();
    char note[KL_TEXT_MAX] = "";

    kl_stubs_free(kl_stubs_load(stub, note));
    if (!json) {
        printf("keyline %s\ncommit %s\nlibraries %s", KEYLINE_VERSION, kl_commit(),
               kl_term_library());
        for (; library->name; library++)
            printf(", %s %s", library->name, library->version);
        printf("\nstubs %s\n", note[0] ? note : "none asked for");
        return fflush(stdout) == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
    }
    json_t *o = json_pack("{s:s, s:s}", "version", KEYLINE_VERSION, "commit", kl_commit());
    json_t *all = json_object();
    json_object_set_new(all, "ncurses", kl_json_text(kl_term_library()));
    for (; library->name; library++)
        json_object_set_new(all, library->name, kl_json_text(library->version));
    json_object_set_new(o, "libraries", all);
    json_object_set_new(o, "stubs", kl_json_text(note));
    return dump(o);
}

/* ---- the faults ---- */

static const char *const ways[] = {
    [KL_POLICY_STOP] = "stays for a person",
    [KL_POLICY_RECONNECT] = "again with the next reset sequence",
    [KL_POLICY_SLOWER] = "again, one baud rate lower",
    [KL_POLICY_AGAIN] = "again",
    [KL_POLICY_WAIT] = "waits until it clears",
};

static void print_row(const struct kl_fault_info *info)
{
    printf("| `%s` | %s | %s | %s", info->name, info->text, info->advice, ways[info->policy]);
    if (info->retries > 0)
        printf(", %u times", info->retries);
    printf(" |\n");
}

static unsigned terminal_columns(void)
{
    struct winsize size;

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col;
    return 80;
}

/* `text` behind an indented title, broken between words. */
static void print_wrapped(const char *title, const char *text, unsigned columns)
{
    enum {
        INDENT = 14
    };
    unsigned at = (unsigned)printf("  %-*s", INDENT - 2, title);

    for (bool first = true; *text; first = false) {
        size_t size = strcspn(text, " ");
        if (!first && at + 1 + size >= columns) {
            printf("\n%*s", INDENT, "");
            at = INDENT;
            first = true;
        }
        at += (unsigned)printf("%s%.*s", first ? "" : " ", (int)size, text);
        text += size + strspn(text + size, " ");
    }
    putchar('\n');
}

static void print_page(const struct kl_fault_info *info, bool colours, unsigned columns)
{
    char itself[64];

    printf(colours ? "\033[1m%s\033[0m\n" : "%s\n", info->name);
    print_wrapped("what", info->text, columns);
    print_wrapped("to do", info->advice, columns);
    kl_format(itself, sizeof itself, info->retries > 0 ? "%s, %u times" : "%s", ways[info->policy],
              info->retries);
    print_wrapped("by itself", itself, columns);
}

static json_t *fault_object(const struct kl_fault_info *info)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:i}", "reason", info->name, "what", info->text,
                     "advice", info->advice, "by_itself", ways[info->policy], "retries",
                     (int)info->retries);
}

int about_faults(int color, bool json)
{
    bool terminal = isatty(STDOUT_FILENO) || color == 1, colours = command_colours(color, stdout);
    unsigned columns = terminal_columns();
    json_t *all = json ? json_array() : NULL;

    if (!json && !terminal)
        printf("| reason | what happened | what to do | by itself |\n| --- | --- | --- | --- |\n");
    for (int r = KL_FAULT_NONE + 1; r < KL_FAULT_COUNT; r++) {
        struct kl_fault_info info = kl_fault_info((enum kl_reason)r);
        if (json)
            json_array_append_new(all, fault_object(&info));
        else if (terminal)
            print_page(&info, colours, columns);
        else
            print_row(&info);
    }
    if (json)
        return dump(all);
    return fflush(stdout) == 0 ? KL_EXIT_OK : KL_EXIT_FAILED;
}
