/* events PORT HEADS STREAMS SECONDS: reads event streams; prints how many events came how late.
 *
 * Each event says when it was sent, by the same clock. The first half second is not counted: the
 * streams are opened one by one.
 */
#include "net.h"

enum { ROOM = 65536, DIGITS = 19 };
static const uint64_t SETTLING_NS = 500000000u;

typedef struct {
    size_t size;
    char data[ROOM];
} Stream;

static uint64_t *delays, from, until;
static size_t received, count, most;

static void note(uint64_t sent, uint64_t now) {
    received++;
    if (now >= from && count < most) delays[count++] = now - sent;
}

/* Read what there is; keep what may be the beginning of an event's time. */
static void take(int fd, Stream *s) {
    ssize_t got = recv(fd, s->data + s->size, ROOM - 1 - s->size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) die("a stream ended");
    uint64_t now = now_ns();
    s->size += (size_t)got;
    s->data[s->size] = 0;
    char *at = s->data, *end = s->data + s->size, *found;
    while ((found = memmem(at, (size_t)(end - at), "\"at\":", 5)) && end - found >= 5 + DIGITS) {
        note(strtoull(found + 5, NULL, 10), now);
        at = found + 5 + DIGITS;
    }
    if (!found && end - at > 4) at = end - 4;
    else if (found) at = found;
    memmove(s->data, at, s->size = (size_t)(end - at));
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    if (argc != 5) die("usage: events PORT HEADS STREAMS SECONDS");
    Heads heads = read_heads(argv[2]);
    int streams = atoi(argv[3]), epoll = epoll_create1(0);
    uint64_t lasting = (uint64_t)atoi(argv[4]) * 1000000000u;
    raise_file_limit();
    Stream **open = calloc(65536, sizeof *open);
    for (int i = 0; i < streams; i++) {
        int fd = opened(atoi(argv[1]), &heads, "200");
        never_wait(fd);
        open[fd] = calloc(1, sizeof(Stream));
        watch(epoll, fd, EPOLLIN);
    }
    delays = calloc(most = (size_t)streams * 200 * (size_t)atoi(argv[4]), sizeof *delays);
    from = now_ns() + SETTLING_NS;
    until = from + lasting;
    struct epoll_event events[256];
    while (now_ns() < until) {
        int ready = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < ready; i++) take(events[i].data.fd, open[events[i].data.fd]);
    }
    if (!count) die("no event came");
    qsort(delays, count, sizeof *delays, by_size);
    printf("{\"received\": %zu, \"events\": %zu, \"ns\": %llu, \"p50_ns\": %llu, \"p99_ns\": %llu}\n",
           received, count, (unsigned long long)lasting, (unsigned long long)delays[count / 2],
           (unsigned long long)delays[count * 99 / 100]);
}
