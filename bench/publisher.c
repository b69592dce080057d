/* HTTP publishers: each sends a message, waits for the answer, and is free for the next. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_ROOM = 1 << 16, REQUEST_ROOM = MESSAGE_ROOM + 4096 };
enum { NAME_ROOM = 200, PATH_ROOM = 512 };

struct publisher {
    struct stream stream; /* first: a stream's address is its publisher's */
    bool busy;
};

static struct publisher *publishers;
static int64_t sequence;

void publishers_start(void) {
    publishers = calloc(options.publishers, sizeof *publishers);
    if (!publishers) give_up("memory");
    for (int i = 0; i < options.publishers; i++) publishers[i].stream.role = PUBLISHER;
}

void publishers_stop(void) {
    for (int i = 0; i < options.publishers; i++) stream_close(&publishers[i].stream);
}

int64_t messages_written(void) { return sequence; }

bool publishers_wait(void) {
    for (int i = 0; i < options.publishers; i++)
        if (publishers[i].busy) return true;
    return false;
}

static struct publisher *free_publisher(void) {
    for (int i = 0; i < options.publishers; i++)
        if (!publishers[i].busy) return &publishers[i];
    return NULL;
}

/* Write the message: its number, when it was sent, and x to the size asked for. None of its
   characters is escaped in JSON, so that any envelope carries it as it is. */
static void write_message(char *out, uint64_t sent) {
    int length = sprintf(out, "@@%011lld,%020llu@@", (long long)sequence++,
                         (unsigned long long)sent);
    while (length < options.message_bytes) out[length++] = 'x';
    out[length] = 0;
}

bool publish(void) {
    static char message[MESSAGE_ROOM + 64], body[REQUEST_ROOM], request[REQUEST_ROOM * 2];
    char name[NAME_ROOM], path[PATH_ROOM];
    struct publisher *publisher = free_publisher();
    if (!publisher) return false;
    if (publisher->stream.stage == CLOSED) {
        if (!stream_open(&publisher->stream)) give_up("no connection for a publisher");
        publisher->stream.stage = OPEN;
    }
    int channel = sequence % options.channels;
    snprintf(name, sizeof name, "%s%d", options.channel, channel);
    write_message(message, now());
    struct value values[] = {{"message", message}, {"channel", name}};
    fill(path, sizeof path, options.publish_path, values, 2);
    int body_length = fill(body, sizeof body, options.publish_body, values, 2);
    int length = snprintf(request, sizeof request,
                          "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: %d\r\n%s\r\n%s",
                          path, options.port, body_length, options.publish_headers,
                          body);
    publisher->busy = true;
    tally.published++;
    tally.expected += channel_receivers(channel);
    stream_send(&publisher->stream, request, length);
    return true;
}

int publisher_input(struct stream *stream, char *bytes, int length) {
    struct publisher *publisher = (struct publisher *)stream;
    struct answer answer;
    if (!http_answer(bytes, length, &answer)) return 0;
    publisher->busy = false;
    if (answer.status / 100 == 2)
        tally.confirmed++;
    else if (tally.refused++ == 0)
        fprintf(stderr, "a publish was refused: %.*s\n", length, bytes);
    if (answer.closes) stream_close(stream);
    return answer.whole_length;
}

void publisher_closed(struct stream *stream) {
    struct publisher *publisher = (struct publisher *)stream;
    if (publisher->busy) tally.refused++;
    publisher->busy = false;
}
