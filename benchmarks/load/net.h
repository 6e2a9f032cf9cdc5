/* What every program of the load needs of sockets and clocks; all of it on 127.0.0.1. */
#ifndef NET_H
#define NET_H
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The clock that both ends of a delay are read from. */
static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void die(const char *what) {
    if (errno) fprintf(stderr, "%s: %s\n", what, strerror(errno));
    else fprintf(stderr, "%s\n", what);
    exit(1);
}

static inline void raise_file_limit(void) {
    struct rlimit most;
    getrlimit(RLIMIT_NOFILE, &most);
    most.rlim_cur = most.rlim_max;
    setrlimit(RLIMIT_NOFILE, &most);
}

static inline struct sockaddr_in local(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void send_at_once(int fd) {
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static inline int connected(int port) {
    struct sockaddr_in address = local(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    send_at_once(fd);
    return fd;
}

static inline void send_all(int fd, const char *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) die("send");
        data += sent;
        size -= (size_t)sent;
    }
}

/* Take one answer's head out of the socket, and nothing of what follows it; check its status. */
static inline void expect_head(int fd, const char *status) {
    char head[8192];
    char *stop = NULL;
    while (!stop) {
        ssize_t size = recv(fd, head, sizeof head - 1, MSG_PEEK);
        if (size <= 0) die("no answer");
        head[size] = 0;
        stop = strstr(head, "\r\n\r\n");
        if (!stop && size == sizeof head - 1) die("an answer's head without an end");
    }
    stop[4] = 0;
    if (recv(fd, head, (size_t)(stop + 4 - head), 0) < 0) die("recv");
    errno = 0;
    if (strncmp(head + 9, status, 3)) die(head);
}

/* Requests' heads are prepared by the caller, in a file: cookies have no place in arguments. */
typedef struct {
    char *text, *next;
} Heads;

static inline Heads read_heads(const char *path) {
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    if (!file || !fread(text, 1, (1 << 20) - 1, file)) die(path);
    fclose(file);
    return (Heads){text, text};
}

/* Connect, send the next head of the file, which begins again at its end, and expect a status. */
static inline int opened(int port, Heads *heads, const char *status) {
    int fd = connected(port);
    char *stop = strstr(heads->next, "\r\n\r\n") + 4;
    send_all(fd, heads->next, (size_t)(stop - heads->next));
    heads->next = *stop ? stop : heads->text;
    if (status) expect_head(fd, status);
    return fd;
}

static inline void watch(int epoll, int fd, uint32_t events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static inline void never_wait(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

#endif
