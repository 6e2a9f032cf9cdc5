/* The server behind every proxy: one thread, epoll, as little work as an answer can be.
 *
 *   GET /bench/events    200, an event stream that is fed 100 events/s
 *   GET /bench/quiet     200, an event stream with one event and then silence
 *   GET /bench/socket    101, an echo of WebSocket messages shorter than 126 bytes
 *   GET /bench/bytes     200, 1 GiB (or BYTES, the second argument)
 *   PUT /bench/bytes     200 when a body of Content-Length bytes has come
 *   anything else        200, a small JSON answer
 */
#include "net.h"
#include <signal.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/timerfd.h>
#include <time.h>

enum { MOST = 65536, ROOM = 8192, EVENTS_PER_SECOND = 100, BLOCK = 1 << 20 };
enum State { HEAD, FED, QUIET, ECHO, SINK, SOURCE };

typedef struct {
    enum State state;
    size_t size;   /* of what is in `data`: a head, a frame, or what a stream did not take yet */
    uint64_t left; /* of a body */
    char data[ROOM];
} Connection;

static Connection *connections[MOST];
static int fed[MOST], feds, next_fed;
static int epoll, timer, zeros;
static uint64_t body_bytes = 1ull << 30;
static char block[BLOCK];

/* Small answers differ in their lengths, and with each second, as a real server's do; one to a
 * request that no other is like has a number of its own. */
enum { LENGTHS = 16 };
static const char SMALL[] =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    "Vary: Origin\r\nDate: %s\r\n%s\r\n"
    "{\"id\":\"ses_5f2c8e01dffeQ7sB1kXv0Zt3Lm\",\"version\":\"1.18.33\",\"directory\":\"/workspace\","
    "\"title\":\"Why the build of the second target fails%.*s\",\"time\":{\"created\":1795348800000,"
    "\"updated\":1795348860000},\"projectID\":\"global\"}";
static const char NUMBERED[] = "ETag: W/\"0000000000\"\r\n";
static char small[2][LENGTHS][512];
static int small_size[2][LENGTHS];
static time_t second;
static const char STREAM[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
    "29\r\ndata: {\"type\":\"server.connected\",\"n\":0}\n\n\r\n";
static const char SWITCHED[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/* One chunk with one event; the time it was sent at goes where the zeros are. */
static const char EVENT[] =
    "95\r\ndata: {\"type\":\"message.part.updated\",\"properties\":{\"at\":0000000000000000000,"
    "\"part\":{\"type\":\"text\",\"messageID\":\"msg_5f2c8e01dffe\"},\"delta\":\" word\"}}\n\n\r\n";

static void keep_the_date(void) {
    if (time(NULL) == second) return;
    char date[64];
    second = time(NULL);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime(&second));
    for (int numbered = 0; numbered < 2; numbered++)
        for (int more = 0; more < LENGTHS; more++)
            small_size[numbered][more] =
                snprintf(small[numbered][more], sizeof small[0][0], SMALL, 213 + more, date,
                         numbered ? NUMBERED : "", more, "...............");
}

static void put(int fd, const char *data, size_t size);

static void put_small(int fd) {
    static unsigned number;
    char digits[16], *request = connections[fd]->data;
    int more = request[28] & (LENGTHS - 1); /* a digit of the id that is asked for */
    int numbered = memmem(request, 128, "before=", 7) != NULL;
    if (numbered) {
        snprintf(digits, sizeof digits, "%010u", ++number);
        memcpy(strstr(small[1][more], "W/\"") + 3, digits, 10);
    }
    put(fd, small[numbered][more], (size_t)small_size[numbered][more]);
}

/* Every stream is fed as often, however many there are. */
static void tick(void) {
    long each = feds ? 1000000000L / EVENTS_PER_SECOND / feds : 0;
    struct itimerspec every = {{0, each}, {0, each}};
    timerfd_settime(timer, 0, &every, NULL);
}

static void end(int fd) {
    for (int i = 0; connections[fd]->state == FED && i < feds; i++)
        if (fed[i] == fd) {
            fed[i] = fed[--feds];
            tick();
        }
    free(connections[fd]);
    connections[fd] = NULL;
    close(fd);
}

static void put(int fd, const char *data, size_t size) {
    if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size) end(fd);
}

/* Feed one stream; what it does not take whole is finished first at its next turn. */
static void feed(int fd) {
    Connection *c = connections[fd];
    if (!c->size) {
        char digits[24];
        memcpy(c->data, EVENT, c->size = sizeof EVENT - 1);
        snprintf(digits, sizeof digits, "%019llu", (unsigned long long)now_ns());
        memcpy(strstr(c->data, "\"at\":") + 5, digits, 19);
    }
    ssize_t sent = send(fd, c->data, c->size, MSG_NOSIGNAL);
    if (sent > 0) memmove(c->data, c->data + sent, c->size -= (size_t)sent);
}

static void feed_due(void) {
    uint64_t due;
    if (read(timer, &due, sizeof due) != sizeof due) return;
    if (due > (uint64_t)feds) due = (uint64_t)feds; /* after a pause nobody is owed the past */
    while (due-- && feds) feed(fed[next_fed++ % feds]);
}

static void source(int fd) {
    Connection *c = connections[fd];
    while (c->left) {
        off_t from = 0;
        ssize_t sent = sendfile(fd, zeros, &from, c->left < BLOCK ? c->left : BLOCK);
        if (sent < 0 && errno == EAGAIN) return;
        if (sent < 0) return end(fd);
        c->left -= (uint64_t)sent;
    }
    c->state = HEAD;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

static void sink(int fd) {
    Connection *c = connections[fd];
    while (c->left) {
        /* MSG_TRUNC: the kernel throws the bytes away, nothing is copied (tcp(7)). */
        ssize_t got = recv(fd, block, c->left < BLOCK ? c->left : BLOCK, MSG_TRUNC);
        if (got < 0 && errno == EAGAIN) return;
        if (got <= 0) return end(fd);
        c->left -= (uint64_t)got;
    }
    c->state = HEAD;
    put_small(fd);
}

static void begin_sink(int fd, size_t head) {
    Connection *c = connections[fd];
    const char *length = strcasestr(c->data, "\r\ncontent-length:");
    if (!length) return put(fd, "HTTP/1.1 411 Length Required\r\nContent-Length: 0\r\n\r\n", 51);
    c->left = strtoull(length + 17, NULL, 10) - (c->size - head);
    c->size = 0;
    c->state = SINK;
    sink(fd);
}

static void begin_source(int fd) {
    Connection *c = connections[fd];
    char head[128];
    c->state = SOURCE;
    c->left = body_bytes;
    int size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                        (unsigned long long)body_bytes);
    put(fd, head, (size_t)size);
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.fd = fd};
    if (connections[fd]) epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

static void begin_stream(int fd, enum State state) {
    connections[fd]->state = state;
    connections[fd]->size = 0;
    if (state == FED) {
        fed[feds++] = fd;
        tick();
    }
    put(fd, STREAM, sizeof STREAM - 1);
}

/* Answer the head that is complete; return whether another may follow in what was read. */
static int answer(int fd, size_t head) {
    Connection *c = connections[fd];
    c->data[c->size] = 0;
    if (strncmp(c->data + 4, "/bench/", 7)) {
        put_small(fd);
        if (!connections[fd]) return 0;
        memmove(c->data, c->data + head, c->size -= head);
        return 1;
    }
    if (!strncmp(c->data, "PUT ", 4)) {
        begin_sink(fd, head);
        return 0;
    }
    c->size = 0;
    switch (c->data[11]) {
    case 'e': begin_stream(fd, FED); break;
    case 'q': begin_stream(fd, QUIET); break;
    case 'b': begin_source(fd); break;
    default: c->state = ECHO; put(fd, SWITCHED, sizeof SWITCHED - 1);
    }
    return 0;
}

/* Send every whole masked frame back unmasked, as a server must (RFC 6455 §5.1). */
static void echo(int fd) {
    Connection *c = connections[fd];
    size_t at = 0, filled = 0;
    static char out[ROOM];
    while (c->size - at >= 6 && c->size - at >= 6u + (c->data[at + 1] & 127)) {
        size_t length = c->data[at + 1] & 127;
        out[filled++] = c->data[at];
        out[filled++] = (char)length;
        for (size_t i = 0; i < length; i++)
            out[filled++] = c->data[at + 6 + i] ^ c->data[at + 2 + (i & 3)];
        at += 6 + length;
    }
    memmove(c->data, c->data + at, c->size -= at);
    if (filled) put(fd, out, filled);
}

static void readable(int fd) {
    Connection *c = connections[fd];
    if (c->state == SINK) return sink(fd);
    if (c->state == FED || c->state == QUIET) {
        if (recv(fd, block, BLOCK, 0) == 0) end(fd);
        return;
    }
    ssize_t got = recv(fd, c->data + c->size, ROOM - 1 - c->size, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return end(fd);
    c->size += (size_t)got;
    if (c->state == ECHO) return echo(fd);
    char *stop;
    while (connections[fd] && c->state == HEAD && (stop = memmem(c->data, c->size, "\r\n\r\n", 4)))
        if (!answer(fd, (size_t)(stop - c->data) + 4)) break;
}

static void welcome(int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd < 0) return;
    if (fd >= MOST) die("too many connections");
    send_at_once(fd);
    connections[fd] = calloc(1, sizeof(Connection));
    watch(epoll, fd, EPOLLIN);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN); /* sendfile has no MSG_NOSIGNAL */
    if (argc > 2) body_bytes = strtoull(argv[2], NULL, 10);
    raise_file_limit();
    struct sockaddr_in address = local(argc > 1 ? atoi(argv[1]) : 0);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) die("bind");
    if (listen(listener, 4096)) die("listen");
    zeros = memfd_create("zeros", 0);
    if (ftruncate(zeros, BLOCK) || write(zeros, block, BLOCK) != BLOCK) die("memfd");
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    epoll = epoll_create1(0);
    watch(epoll, listener, EPOLLIN);
    watch(epoll, timer, EPOLLIN);
    struct epoll_event events[256];
    for (;;) {
        int ready = epoll_wait(epoll, events, 256, -1);
        keep_the_date();
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) welcome(listener);
            else if (fd == timer) feed_due();
            else if (connections[fd] && connections[fd]->state == SOURCE) source(fd);
            else if (connections[fd]) readable(fd);
        }
    }
}
