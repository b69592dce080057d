/* Which subscriber has which channel. */
#include "load.h"

#include <stdio.h>

/* Of few channels each subscriber has one, of many each has several: subscriber i has channel c
   where they are equal modulo the smaller of the two numbers. */
static int shared(void) {
    return options.channels < options.subscribers ? options.channels : options.subscribers;
}

bool has_channel(int index, int channel) {
    return index % shared() == channel % shared();
}

int channel_receivers(int channel) {
    int count = shared();
    if (!count || count == options.subscribers) return count ? 1 : 0;
    return options.subscribers / count + (channel < options.subscribers % count);
}

/* Write the names of all channels that the subscriber has. */
void write_channels(int index, char *out, int room) {
    int length = 0;
    for (int c = index % shared(); c < options.channels; c += shared()) {
        length += snprintf(out + length, room - length, "%s%s%d", length ? "," : "",
                           options.channel, c);
        if (length >= room) give_up("more channels than a path has room for");
    }
}
