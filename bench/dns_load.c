/* SPDX-License-Identifier: Apache-2.0
 *
 * A load that costs little: dns_load ADDRESS PORT SECONDS OUTSTANDING < queries. Closed loop over 8 sockets.
 *
 * Queries come as wire messages, each behind its length in two octets, and are sent in turn, batches to a call of the
 * kernel: dnsperf needs more processor time for a query than the servers do, and so they sleep between two queries.
 * Prints: queries answered, queries lost.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

enum { SOCKETS = 8, BATCH = 64, ROOM = 2048, MOST = 4 << 20 };

static unsigned char *queries[MOST], in[BATCH][ROOM];
static unsigned lengths[MOST], count;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void read_queries(void)
{
    int high, low;
    while (count < MOST && (high = getchar()) >= 0 && (low = getchar()) >= 0) {
        unsigned length = (unsigned)(high << 8 | low);
        queries[count] = malloc(length);
        if (!queries[count] || fread(queries[count], 1, length, stdin) != length)
            exit(2);
        lengths[count++] = length;
    }
}

static int send_some(int fd, unsigned wanted)
{
    static unsigned next;
    struct mmsghdr out[BATCH] = {0};
    struct iovec parts[BATCH];
    for (unsigned i = 0; i < wanted; i++, next = (next + 1) % count) {
        parts[i] = (struct iovec){queries[next], lengths[next]};
        out[i].msg_hdr.msg_iov = &parts[i];
        out[i].msg_hdr.msg_iovlen = 1;
    }
    int sent = sendmmsg(fd, out, wanted, 0);
    return sent < 0 ? 0 : sent;
}

int main(int argc, char **argv)
{
    if (argc != 5)
        return 2;
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    inet_pton(AF_INET, argv[1], &server.sin_addr);
    int each = atoi(argv[4]) / SOCKETS, out[SOCKETS];
    struct pollfd polled[SOCKETS];
    struct mmsghdr received[BATCH] = {0};
    struct iovec parts[BATCH];
    for (int i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){in[i], ROOM};
        received[i].msg_hdr.msg_iov = &parts[i];
        received[i].msg_hdr.msg_iovlen = 1;
    }
    read_queries();
    unsigned long done = 0, lost = 0;
    double end = now() + atof(argv[3]);
    for (int i = 0; i < SOCKETS; i++) {
        polled[i] = (struct pollfd){socket(AF_INET, SOCK_DGRAM, 0), POLLIN, 0};
        if (!count || connect(polled[i].fd, (struct sockaddr *)&server, sizeof server))
            return 2;
        out[i] = send_some(polled[i].fd, (unsigned)(each < BATCH ? each : BATCH));
    }
    while (now() < end) {
        int ready = poll(polled, SOCKETS, 200);
        for (int i = 0; i < SOCKETS; i++) {
            int got = 0;
            if (polled[i].revents)
                got = recvmmsg(polled[i].fd, received, BATCH, MSG_DONTWAIT, NULL);
            else if (!ready) { /* silence: what is out is lost */
                lost += (unsigned long)out[i];
                out[i] = 0;
            }
            got = got < 0 ? 0 : got;
            done += (unsigned long)got;
            out[i] -= got < out[i] ? got : out[i];
            if (out[i] < each)
                out[i] += send_some(polled[i].fd, (unsigned)(each - out[i] < BATCH ? each - out[i] : BATCH));
        }
    }
    printf("%lu %lu\n", done, lost);
    return 0;
}
