/*
 * The floor of the benchmark: the least that restores a backup through pg-backup-api, in C on libcurl. Status, create,
 * and a poll with the waits of barman-recover; no repetition, no look at the data directory, no log.
 *
 *   floor API_URL BARMAN_SERVER BACKUP_ID SSH_COMMAND DATA_DIRECTORY
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reply {
    char text[4096];
    size_t length;
};

static size_t collect(char *data, size_t size, size_t count, void *to)
{
    struct reply *reply = to;
    size_t length = size * count;

    if (reply->length + length >= sizeof reply->text)
        return 0;
    memcpy(reply->text + reply->length, data, length);
    reply->length += length;
    reply->text[reply->length] = '\0';
    return length;
}

/* GET, or POST where there is a body. Ends the program unless the answer is 2xx. */
static void ask(CURL *curl, const char *url, const char *body, struct reply *reply)
{
    struct curl_slist *headers = NULL;
    CURLcode code;
    long status = 0;

    reply->length = 0;
    reply->text[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
    if (body != NULL) {
        headers = curl_slist_append(NULL, "Content-Type: application/json");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    } else {
        curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    if (code != CURLE_OK || status / 100 != 2) {
        fprintf(stderr, "%s: %s, HTTP %ld\n", url, curl_easy_strerror(code), status);
        exit(2);
    }
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void wait_for(double seconds)
{
    struct timespec t = { (time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9) };

    nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
    char url[1024], body[2048], id[64];
    struct reply reply;
    const char *found;
    double began, wait;
    CURL *curl;

    if (argc != 6)
        return 2;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    curl = curl_easy_init();
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "floor");
    /* As the other contestants and the program curl do. */
    if (getenv("SSL_CERT_FILE") != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
    if (getenv("SSL_CERT_DIR") != NULL)
        curl_easy_setopt(curl, CURLOPT_CAPATH, getenv("SSL_CERT_DIR"));

    snprintf(url, sizeof url, "%s/status", argv[1]);
    ask(curl, url, NULL, &reply);
    snprintf(url, sizeof url, "%s/servers/%s/operations", argv[1], argv[2]);
    snprintf(body, sizeof body,
             "{\"type\":\"recovery\",\"backup_id\":\"%s\",\"remote_ssh_command\":\"%s\",\"destination_directory\":\"%s\"}",
             argv[3], argv[4], argv[5]);
    ask(curl, url, body, &reply);
    found = strstr(reply.text, "\"operation_id\"");
    if (found == NULL || sscanf(found, "\"operation_id\" : \"%63[^\"]\"", id) != 1)
        return 2;
    began = now();
    snprintf(url, sizeof url, "%s/servers/%s/operations/%s", argv[1], argv[2], id);
    for (;;) {
        ask(curl, url, NULL, &reply);
        if (strstr(reply.text, "IN_PROGRESS") == NULL)
            break;
        wait = (now() - began) / 11;
        wait_for(wait < 0.1 ? 0.1 : wait > 10 ? 10 : wait);
    }
    curl_easy_cleanup(curl);
    return strstr(reply.text, "DONE") != NULL ? 0 : 1;
}
