/* The bare C sender: the floor under every figure of CPU per delivery.

   One thread, epoll, channels that are numbers, and for each message one send() of the same bytes
   to each subscriber: nothing that a push server could leave out. It speaks just enough to be measured by
   the load client beside it (which sends every request whole, and always the same WebSocket key):
     GET with Upgrade   101, then subscribed
     POST               the body becomes one text frame for everyone; then 200
     GET                200, as an empty poll
   The channel is the number at the end of the path.
   Usage: sender PORT */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_FDS = 1 << 16, MOST_CHANNELS = 1 << 17, MOST_BYTES = 1 << 16 };
enum { EVENTS = 512, BACKLOG = 4096 };

/* RFC 6455 section 1.3: this key, this answer. */
static const char KEY[] = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
static const char UPGRADED[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
static const char OK[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         "Content-Length: 26\r\n\r\n{\"cursor\":0,\"messages\":[]}\n";
static const char REFUSED[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

struct channel {
    int *subscribers, count, room;
};

static struct channel channels[MOST_CHANNELS];
static int place[MOST_FDS];      /* of a subscriber in its channel, plus 1; 0: not subscribed */
static int channel_of[MOST_FDS]; /* of a subscriber */

static void fail(const char *why) {
    perror(why);
    exit(1);
}

static void subscribe(int fd, int number) {
    struct channel *channel = &channels[number];
    if (channel->count == channel->room) {
        channel->room = channel->room * 2 + 1;
        channel->subscribers = realloc(channel->subscribers, channel->room * sizeof(int));
        if (!channel->subscribers) fail("memory");
    }
    channel->subscribers[channel->count++] = fd;
    place[fd] = channel->count;
    channel_of[fd] = number;
}

static void unsubscribe(int fd) {
    struct channel *channel = &channels[channel_of[fd]];
    int last = channel->subscribers[--channel->count];
    channel->subscribers[place[fd] - 1] = last;
    place[last] = place[fd];
    place[fd] = 0;
}

static void drop(int fd) {
    if (place[fd]) unsubscribe(fd);
    close(fd);
}

static bool send_all(int fd, const char *bytes, int length) {
    return send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL) == length;
}

/* Write a text frame (RFC 6455 section 5.2) around the payload and return its length. */
static int make_frame(char *frame, const char *payload, int length) {
    int head = length < 126 ? 2 : 4;
    frame[0] = (char)0x81;
    frame[1] = length < 126 ? length : 126;
    if (head == 4) {
        frame[2] = length >> 8;
        frame[3] = length;
    }
    memcpy(frame + head, payload, length);
    return head + length;
}

static void deliver(struct channel *channel, const char *payload, int length) {
    static char frame[MOST_BYTES + 4];
    int frame_length = make_frame(frame, payload, length);
    /* From the last on: dropping one moves the last into its place. */
    for (int i = channel->count - 1; i >= 0; i--)
        if (!send_all(channel->subscribers[i], frame, frame_length)) drop(channel->subscribers[i]);
}

static int channel_number(const char *request) {
    const char *end = strstr(request, " HTTP/"), *digits = end;
    while (digits > request && digits[-1] >= '0' && digits[-1] <= '9') digits--;
    return digits == end ? 0 : atoi(digits) % MOST_CHANNELS;
}

static void answer(int fd, const char *request, int length) {
    const char *body = strstr(request, "\r\n\r\n");
    bool sent;
    if (!strncmp(request, "POST ", 5) && body) {
        deliver(&channels[channel_number(request)], body + 4, request + length - (body + 4));
        sent = send_all(fd, OK, sizeof OK - 1);
    } else if (strstr(request, KEY)) {
        subscribe(fd, channel_number(request));
        sent = send_all(fd, UPGRADED, sizeof UPGRADED - 1);
    } else if (!strncmp(request, "GET ", 4) && !strstr(request, "Upgrade:")) {
        sent = send_all(fd, OK, sizeof OK - 1);
    } else {
        sent = send_all(fd, REFUSED, sizeof REFUSED - 1);
    }
    if (!sent) drop(fd);
}

static void readable(int fd) {
    static char request[MOST_BYTES];
    ssize_t length = recv(fd, request, sizeof request - 1, 0);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) {
        drop(fd);
        return;
    }
    request[length] = 0;
    if (!place[fd]) answer(fd, request, length); /* a subscriber's own frames are not read */
}

static void watch(int epoll_fd, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static void accept_all(int epoll_fd, int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_FDS) fail("too many connections");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll_fd, fd);
    }
}

static int listen_on(int port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) fail("bind");
    if (listen(listener, BACKLOG)) fail("listen");
    return listener;
}

static void allow_many_connections(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: sender PORT\n");
        return 2;
    }
    allow_many_connections();
    int listener = listen_on(atoi(arguments[1])), epoll_fd = epoll_create1(0);
    struct epoll_event events[EVENTS];
    watch(epoll_fd, listener);
    while (true) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(epoll_fd, listener);
            else
                readable(fd);
        }
    }
}
