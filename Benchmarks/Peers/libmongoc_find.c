// libmongoc: the measure for a find by id. Usage: libmongoc_find URI COUNT
// Finds a document COUNT times, one after the other as its interface is, and prints microseconds of CPU for each.
#include <mongoc/mongoc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void find(mongoc_collection_t *collection) {
    bson_t *filter = BCON_NEW("_id", BCON_INT32(7));
    bson_t *options = BCON_NEW("limit", BCON_INT64(1), "singleBatch", BCON_BOOL(true));
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(collection, filter, options, NULL);
    const bson_t *found;
    bson_error_t error;
    if (!mongoc_cursor_next(cursor, &found)) {
        if (mongoc_cursor_error(cursor, &error)) fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    mongoc_cursor_destroy(cursor);
    bson_destroy(options);
    bson_destroy(filter);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    long count = atol(argv[2]);
    mongoc_init();
    mongoc_client_t *client = mongoc_client_new(argv[1]);
    mongoc_collection_t *collection = mongoc_client_get_collection(client, "bench", "posts");
    find(collection);
    double start = cpu();
    for (long number = 0; number < count; number++) find(collection);
    printf("%.3f\n", (cpu() - start) / count * 1e6);
    mongoc_collection_destroy(collection);
    mongoc_client_destroy(client);
    mongoc_cleanup();
    return 0;
}
