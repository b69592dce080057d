/* WebSocket frames (RFC 6455 section 5), as far as servers send them and a subscriber has to. */
#include "load.h"

#include <string.h>

void send_frame(struct stream *stream, int opcode, const char *payload, int length) {
    char frame[6 + LONGEST_FRAME] = {(char)(0x80 | opcode), (char)(0x80 | length)};
    if (length > LONGEST_FRAME) give_up("a frame that is too long");
    memcpy(frame + 6, payload, length); /* the masking key is four zeros: as it is */
    stream_send(stream, frame, 6 + length);
}

/* Return the whole length of the frame at bytes and where its payload starts; 0: not all there. */
int64_t frame_length(const unsigned char *bytes, int length, int *payload_at) {
    if (length < 2) return 0;
    int64_t payload = bytes[1];
    *payload_at = payload == 127 ? 10 : payload == 126 ? 4 : 2;
    if (payload > 127) give_up("a masked frame from a server");
    if (length < *payload_at) return 0;
    if (payload >= 126) {
        payload = 0;
        for (int i = 2; i < *payload_at; i++) payload = payload << 8 | bytes[i];
    }
    return *payload_at + payload <= length ? *payload_at + payload : 0;
}
