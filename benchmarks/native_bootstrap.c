/* The smallest custom runtime: polls the Runtime API and answers every event with "ok". */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 20];

/* Send a request and read the whole answer, which has a Content-Length. */
static void exchange(int fd, const char *request, size_t length) {
    size_t have = 0;
    if (write(fd, request, length) != (ssize_t)length) exit(1);
    for (;;) {
        ssize_t got = read(fd, buffer + have, sizeof buffer - 1 - have);
        if (got <= 0) exit(1);
        have += got;
        buffer[have] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        char *size = strcasestr(buffer, "content-length:");
        if (end && size && have >= (size_t)(end + 4 - buffer) + strtoul(size + 15, 0, 10)) return;
    }
}

int main(void) {
    char host[64], request[512];
    const char *api = getenv("AWS_LAMBDA_RUNTIME_API");
    const char *colon = strchr(api, ':');
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(colon + 1))};
    snprintf(host, sizeof host, "%.*s", (int)(colon - api), api);
    inet_pton(AF_INET, host, &address.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) return 1;
    for (;;) {
        int length = snprintf(request, sizeof request,
                              "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: %s\r\n\r\n", api);
        exchange(fd, request, length);
        char id[64] = "";
        char *header = strcasestr(buffer, "lambda-runtime-aws-request-id:");
        sscanf(header + 30, " %63[^\r]", id);
        length = snprintf(request, sizeof request,
                          "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: %s\r\n"
                          "Content-Length: 4\r\n\r\n\"ok\"", id, api);
        exchange(fd, request, length);
    }
}
