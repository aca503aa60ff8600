/*
 * socket_path.c: where the station of a CSV and its dashboards meet.
 *
 * A socket beside the ledger can be found from any login. The runtime directory may vanish with the
 * last login, so it serves only where the CSV's folder can't hold a socket (FAT, a long path). A
 * station with --socket listens there; a link beside its CSV leads there too.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "faces/stream/wire.h"

bool kl_wire_is_socket(const char *name)
{
    static const char end[] = ".socket";
    size_t size = strlen(name);

    return size >= sizeof end && strcmp(name + size + 1 - sizeof end, end) == 0;
}

bool kl_wire_socket_path(const char *csv, unsigned i, char *out, size_t size)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char *real = kl_wire_is_socket(csv) ? NULL : realpath(csv, NULL);
    char text[4200] = "";

    out[0] = '\0';
    if (kl_wire_is_socket(csv) && i == 0) {
        if (strlen(csv) < sizeof((struct sockaddr_un *)0)->sun_path)
            kl_copy(out, size, csv);
        return true;
    }
    if (!real)
        return false;
    if (i == 0)
        kl_format(text, sizeof text, "%s.socket", real);
    else if (i == 1 && runtime && runtime[0] == '/')
        kl_format(text, sizeof text, "%s/keyline/%016llx.socket", runtime,
                  (unsigned long long)kl_hash(real, strlen(real)));
    free(real);
    if (strlen(text) < sizeof((struct sockaddr_un *)0)->sun_path && strlen(text) < size)
        kl_copy(out, size, text);
    return i <= 1;
}

/* Root may talk to anybody's station. A socket that was named is trusted as far as its folder
   is. */
static int connect_to(const char *path, bool named)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    kl_copy(address.sun_path, sizeof address.sun_path, path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
        (named || peer.uid == geteuid() || geteuid() == 0))
        return fd;
    close(fd);
    return -1;
}

static void say_hello(int fd)
{
    char name[KL_NAME_MAX];
    char *line;

    kl_wire_operator(name);
    line = kl_wire_client_hello(name);
    if (line && write(fd, line, strlen(line)) < 0)
        shutdown(fd, SHUT_RDWR); /* the caller's next read sees the end */
    free(line);
}

int kl_wire_connect(const char *csv)
{
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    int fd = -1;

    for (unsigned i = 0; fd < 0 && kl_wire_socket_path(csv, i, path, sizeof path); i++)
        if (path[0])
            fd = connect_to(path, kl_wire_is_socket(csv));
    if (fd >= 0)
        say_hello(fd);
    return fd;
}
