/* transfer PORT HEAD download|upload BYTES: one large body; prints how long it took.
 *
 * Neither way copies a byte in this program: it must not be what limits.
 */
#include "net.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

enum { BLOCK = 1 << 20 };
static char block[BLOCK];

static void receive(int fd, uint64_t left) {
    expect_head(fd, "200");
    while (left) {
        ssize_t got = recv(fd, block, left < BLOCK ? left : BLOCK, MSG_TRUNC);
        if (got <= 0) die("the download ended early");
        left -= (uint64_t)got;
    }
}

static void transmit(int fd, uint64_t left) {
    int zeros = memfd_create("zeros", 0);
    if (write(zeros, block, BLOCK) != BLOCK) die("memfd");
    while (left) {
        off_t from = 0;
        ssize_t sent = sendfile(fd, zeros, &from, left < BLOCK ? left : BLOCK);
        if (sent <= 0) die("the upload ended early");
        left -= (uint64_t)sent;
    }
    expect_head(fd, "200");
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: transfer PORT HEAD download|upload BYTES");
    Heads heads = read_heads(argv[2]);
    uint64_t bytes = strtoull(argv[4], NULL, 10), begun = now_ns();
    int fd = opened(atoi(argv[1]), &heads, NULL);
    if (*argv[3] == 'd') receive(fd, bytes);
    else transmit(fd, bytes);
    printf("{\"bytes\": %llu, \"ns\": %llu}\n", (unsigned long long)bytes,
           (unsigned long long)(now_ns() - begun));
}
