#include "password.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "keyline/secret.h"

enum {
    CTRL_C = 3,
    CTRL_D = 4,
    CTRL_U = 21,
    DELETE = 127,
};

void password_free(struct password *p)
{
    kl_secret_free(p, sizeof *p);
}

static bool read_file(const char *path, char *out, char error[KL_TEXT_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    ssize_t n = -1;

    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
        errno = EINVAL;
    else if (fd >= 0)
        n = read(fd, out, KL_SIGN_PASSWORD_MAX);
    if (n < 0)
        kl_format(error, KL_TEXT_MAX, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (n < 0)
        return false;
    out[n < KL_SIGN_PASSWORD_MAX ? n : KL_SIGN_PASSWORD_MAX - 1] = '\0';
    if (n == KL_SIGN_PASSWORD_MAX && !strpbrk(out, "\r\n")) {
        kl_format(error, KL_TEXT_MAX, "%s: the password is too long", path);
        return false;
    }
    out[strcspn(out, "\r\n")] = '\0';
    if (out[0] == '\0')
        kl_format(error, KL_TEXT_MAX, "%s: its first line is empty", path);
    return out[0] != '\0';
}

/* Reads key by key, so that the terminal is as it was even after Ctrl-C. */
static bool read_line(int tty, char *out)
{
    size_t size = 0;
    char c;

    while (read(tty, &c, 1) == 1) {
        if (c == '\r' || c == '\n') {
            out[size] = '\0';
            return true;
        }
        if (c == CTRL_C || c == CTRL_D)
            break;
        if (c == CTRL_U)
            size = 0;
        else if (c == DELETE || c == '\b')
            size -= size > 0;
        else if (size + 1 < KL_SIGN_PASSWORD_MAX)
            out[size++] = c;
    }
    return false;
}

static bool ask(int tty, const char *prompt, char *out)
{
    struct termios was, quiet;
    bool done;

    if (tcgetattr(tty, &was) != 0)
        return false;
    quiet = was;
    quiet.c_lflag &= ~(tcflag_t)(ECHO | ICANON | ISIG);
    tcsetattr(tty, TCSAFLUSH, &quiet);
    dprintf(tty, "%s: ", prompt);
    done = read_line(tty, out);
    tcsetattr(tty, TCSAFLUSH, &was);
    dprintf(tty, "\n");
    return done;
}

static bool ask_person(const char *prompt, bool twice, char *out, char error[KL_TEXT_MAX])
{
    struct password *again = twice ? kl_secret_alloc(sizeof *again) : NULL;
    int tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool done = tty >= 0 && ask(tty, prompt, out);

    if (tty < 0)
        kl_copy(error, KL_TEXT_MAX,
                "there is no terminal to ask for the password: --password-file");
    else if (!done)
        kl_copy(error, KL_TEXT_MAX, "no password was typed");
    if (done && again && (!ask(tty, "again", again->text) || strcmp(out, again->text) != 0)) {
        kl_copy(error, KL_TEXT_MAX, "the two passwords differ");
        done = false;
    }
    if (tty >= 0)
        close(tty);
    kl_secret_free(again, sizeof *again);
    return done;
}

struct password *password_get(const char *file, const char *prompt, bool twice,
                              char error[KL_TEXT_MAX])
{
    struct password *p = kl_secret_alloc(sizeof *p);

    if (!p) {
        kl_copy(error, KL_TEXT_MAX, "no memory");
        return NULL;
    }
    if (file ? read_file(file, p->text, error) : ask_person(prompt, twice, p->text, error))
        return p;
    password_free(p);
    return NULL;
}
