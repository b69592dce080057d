/* One TCP connection of the load client: open, send, read, close; reading an HTTP answer, JSON. */
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INPUT_ROOM = 1 << 20, EVENTS = 1024, CONNECT_SECONDS = 5 };

static int epoll_fd;
static char *input; /* shared by all: only what is not understood yet is kept per connection */

static void watch(int fd, void *who) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = who};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) give_up("epoll_ctl");
}

void streams_start(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    input = malloc(INPUT_ROOM + 1);
    if (epoll_fd < 0 || !input) give_up("start");
    watch(STDIN_FILENO, NULL);
}

bool stream_open(struct stream *stream) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0) give_up("socket");
    struct timeval limit = {.tv_sec = CONNECT_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    /* Loopback only, and for that reason blocking: the kernel accepts at once. */
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(options.port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&server, sizeof server)) {
        close(fd);
        return false;
    }
    fcntl(fd, F_SETFL, O_NONBLOCK);
    stream->fd = fd;
    stream->rest_length = 0;
    watch(fd, stream);
    return true;
}

void stream_close(struct stream *stream) {
    if (stream->stage == CLOSED) return;
    /* Reset: thousands of ports in TIME_WAIT would run out after a few repetitions. */
    struct linger reset = {.l_onoff = 1, .l_linger = 0};
    setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(stream->fd);
    stream->stage = CLOSED;
}

void stream_send(struct stream *stream, const char *bytes, int length) {
    ssize_t sent = send(stream->fd, bytes, length, MSG_NOSIGNAL);
    if (sent == length) return;
    /* Gone: reading tells, and counts it. Half a small request in an empty socket: never. */
    if (sent >= 0 || errno == EAGAIN) give_up("short send");
}

static void keep(struct stream *stream, const char *bytes, int length) {
    if (length > stream->rest_room) {
        stream->rest_room = length + 512;
        stream->rest = realloc(stream->rest, stream->rest_room);
        if (!stream->rest) give_up("memory");
    }
    if (length) memcpy(stream->rest, bytes, length);
    stream->rest_length = length;
}

static void lost(struct stream *stream) {
    stream_close(stream);
    if (stream->role == SUBSCRIBER)
        subscriber_closed(stream);
    else
        publisher_closed(stream);
}

static void stream_readable(struct stream *stream) {
    int before = stream->rest_length;
    if (before) memcpy(input, stream->rest, before);
    ssize_t got = recv(stream->fd, input + before, INPUT_ROOM - before, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        lost(stream);
        return;
    }
    int length = before + got;
    input[length] = 0;
    int used = stream->role == SUBSCRIBER ? subscriber_input(stream, input, length, now())
                                          : publisher_input(stream, input, length);
    if (used < 0)
        lost(stream);
    else
        keep(stream, input + used, length - used);
}

bool streams_wait(int milliseconds) {
    static struct epoll_event events[EVENTS];
    bool command = false;
    int count = epoll_wait(epoll_fd, events, EVENTS, milliseconds);
    for (int i = 0; i < count; i++) {
        struct stream *stream = events[i].data.ptr;
        if (!stream)
            command = true;
        else if (stream->stage != CLOSED)
            stream_readable(stream);
    }
    return command;
}

/* Return the value of a header of the NUL-terminated head, or NULL. */
static const char *header(const char *head, const char *name) {
    const char *found = strcasestr(head, name);
    return found ? found + strlen(name) : NULL;
}

bool http_answer(const char *bytes, int length, struct answer *answer) {
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (!end) return false;
    int head_length = end + 4 - bytes;
    if (head_length >= 4096 || head_length < 16) give_up("an HTTP head that is no such thing");
    char head[4096];
    memcpy(head, bytes, head_length);
    head[head_length] = 0;
    const char *body_length = header(head, "\r\nContent-Length:");
    const char *connection = header(head, "\r\nConnection:");
    answer->status = atoi(head + strlen("HTTP/1.1 "));
    answer->body = bytes + head_length;
    answer->body_length = body_length ? atoi(body_length) : 0;
    answer->whole_length = head_length + answer->body_length;
    answer->closes = connection && !strncasecmp(connection, " close", strlen(" close"));
    return length >= answer->whole_length;
}

/* Copy the value of the JSON's key: a string or a number, without characters to unescape. */
bool copy_value(char *out, const char *key, const char *json, int length) {
    const char *at = memmem(json, length, key, strlen(key));
    if (!at) return false;
    at += strlen(key);
    at += strspn(at, " \"");
    size_t size = strcspn(at, "\", }\r\n");
    if (size >= VALUE_ROOM) give_up("a value that is too long");
    memcpy(out, at, size);
    out[size] = 0;
    return true;
}
