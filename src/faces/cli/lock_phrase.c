#include "lock_phrase.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static bool take_line(FILE *file, char out[LOCK_PHRASE_MAX])
{
    bool good = fgets(out, LOCK_PHRASE_MAX, file) != NULL;

    if (good)
        out[strcspn(out, "\r\n")] = '\0';
    return good && out[0];
}

static bool read_file(const char *name, char out[LOCK_PHRASE_MAX], char error[KL_TEXT_MAX])
{
    FILE *file = fopen(name, "re");
    struct stat st;
    bool good;

    if (!file) {
        kl_format(error, KL_TEXT_MAX, "--lock %s: %s; it is a file with the phrase, or ask", name,
                  strerror(errno));
        return false;
    }
    good = take_line(file, out);
    if (!good)
        kl_format(error, KL_TEXT_MAX, "--lock %s: its first line is no phrase", name);
    else if (fstat(fileno(file), &st) == 0 && (st.st_mode & 077))
        fprintf(stderr, "keyline: --lock %s: other users may read it; chmod 600\n", name);
    fclose(file);
    return good;
}

static bool prompt(char out[LOCK_PHRASE_MAX], char error[KL_TEXT_MAX])
{
    struct termios was, silent;
    bool good;

    if (tcgetattr(STDIN_FILENO, &was) != 0) {
        kl_copy(error, KL_TEXT_MAX, "--lock ask needs a terminal");
        return false;
    }
    silent = was;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    fputs("Phrase that will unlock the dashboard: ", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    good = take_line(stdin, out);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
    putchar('\n');
    if (!good)
        kl_copy(error, KL_TEXT_MAX, "--lock ask: no phrase was typed");
    return good;
}

bool lock_phrase(const char *lock, const char *phrase, bool typed, char out[LOCK_PHRASE_MAX],
                 char error[KL_TEXT_MAX])
{
    out[0] = '\0';
    if (phrase && typed) {
        kl_copy(
            error, KL_TEXT_MAX,
            "lock-phrase belongs into a config file: every user of this host can read a command "
            "line. Use --lock FILE or --lock ask");
        return false;
    }
    if (phrase && !kl_copy(out, LOCK_PHRASE_MAX, phrase)) {
        kl_copy(error, KL_TEXT_MAX, "lock-phrase is too long");
        return false;
    }
    if (!lock)
        return true;
    return strcmp(lock, "ask") == 0 ? prompt(out, error) : read_file(lock, out, error);
}
