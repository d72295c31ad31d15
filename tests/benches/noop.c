/*
 * The floor for whoever reads captures with libpcap: every packet handed over, nothing done with it.
 *
 * In: a capture file. Out: the number of packets and of captured bytes, on standard output.
 */
#include <pcap/pcap.h>
#include <stdio.h>

struct totals {
    unsigned long long packets, bytes;
};

static void count(u_char *user, const struct pcap_pkthdr *header, const u_char *data) {
    struct totals *totals = (struct totals *)user;
    (void)data;
    totals->packets++;
    totals->bytes += header->caplen;
}

int main(int argc, char **argv) {
    char error[PCAP_ERRBUF_SIZE];
    struct totals totals = {0, 0};
    pcap_t *capture = argc == 2 ? pcap_open_offline(argv[1], error) : NULL;
    if (capture == NULL) {
        fprintf(stderr, "noop: %s\n", argc == 2 ? error : "usage: noop CAPTURE");
        return 2;
    }
    int result = pcap_loop(capture, -1, count, (u_char *)&totals);
    printf("%llu packets, %llu bytes\n", totals.packets, totals.bytes);
    return result == 0 ? 0 : 2;
}
