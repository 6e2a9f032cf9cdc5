/* messages PORT HEADS CONNECTIONS SECONDS: WebSocket messages to and fro; prints how many came back.
 *
 * Each connection sends a message, waits for its echo and sends the next (a closed loop).
 */
#include "net.h"

enum { PAYLOAD = 64, SENT = 6 + PAYLOAD, ECHOED = 2 + PAYLOAD };
static char message[SENT];

/* A masked binary message (RFC 6455 §5.2); which mask is used makes no difference to a proxy. */
static void make_message(void) {
    const char mask[4] = {0x37, (char)0xfa, 0x21, 0x3d};
    message[0] = (char)0x82;
    message[1] = (char)(0x80 | PAYLOAD);
    memcpy(message + 2, mask, 4);
    for (int i = 0; i < PAYLOAD; i++) message[6 + i] = (char)('a' + i % 26) ^ mask[i & 3];
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: messages PORT HEADS CONNECTIONS SECONDS");
    Heads heads = read_heads(argv[2]);
    int connections = atoi(argv[3]), epoll = epoll_create1(0);
    uint64_t lasting = (uint64_t)atoi(argv[4]) * 1000000000u, count = 0;
    int *come = calloc(65536, sizeof *come);
    make_message();
    int *all = calloc((size_t)connections, sizeof *all);
    for (int i = 0; i < connections; i++) {
        all[i] = opened(atoi(argv[1]), &heads, "101");
        never_wait(all[i]);
        watch(epoll, all[i], EPOLLIN);
    }
    uint64_t until = now_ns() + lasting;
    for (int i = 0; i < connections; i++) send_all(all[i], message, SENT);
    struct epoll_event events[256];
    while (now_ns() < until) {
        int ready = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            char echoed[ECHOED];
            ssize_t got = recv(fd, echoed, (size_t)(ECHOED - come[fd]), 0);
            if (got <= 0) die("a connection ended");
            if ((come[fd] += (int)got) < ECHOED) continue;
            come[fd] = 0;
            count++;
            send_all(fd, message, SENT);
        }
    }
    printf("{\"messages\": %llu, \"ns\": %llu}\n", (unsigned long long)count,
           (unsigned long long)lasting);
}
