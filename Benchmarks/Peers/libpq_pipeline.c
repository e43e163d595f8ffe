// libpq in pipeline mode: the measure for one connection. Usage: libpq_pipeline CONNINFO COUNT WINDOW each|window
// Executes a prepared "SELECT 1" COUNT times with up to WINDOW of them under way; with a Sync for each, or one for each window.
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <time.h>

static void fail(PGconn *connection, const char *what) {
    fprintf(stderr, "%s: %s\n", what, PQerrorMessage(connection));
    exit(1);
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    long count = atol(argv[2]), window = atol(argv[3]), sent = 0, done = 0, unsynced = 0;
    int each = strcmp(argv[4], "each") == 0;
    PGconn *connection = PQconnectdb(argv[1]);
    if (PQstatus(connection) != CONNECTION_OK) fail(connection, "connect");
    PQclear(PQprepare(connection, "s", "SELECT 1", 0, NULL));
    PQsetnonblocking(connection, 1);
    if (!PQenterPipelineMode(connection)) fail(connection, "pipeline");
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (done < count) {
        while (sent < count && sent - done < window) {
            if (!PQsendQueryPrepared(connection, "s", 0, NULL, NULL, NULL, 1)) fail(connection, "send");
            sent++;
            unsynced++;
            if (each || unsynced == window || sent == count) {
                if (!PQpipelineSync(connection)) fail(connection, "sync");
                unsynced = 0;
            }
        }
        PQflush(connection);
        int socket = PQsocket(connection);
        fd_set readable, writable;
        FD_ZERO(&readable);
        FD_ZERO(&writable);
        FD_SET(socket, &readable);
        if (PQflush(connection) == 1) FD_SET(socket, &writable);
        select(socket + 1, &readable, &writable, NULL, NULL);
        if (!PQconsumeInput(connection)) fail(connection, "consume");
        while (!PQisBusy(connection) && done < sent) {
            PGresult *result = PQgetResult(connection);
            if (!result) continue;  // between two results
            ExecStatusType status = PQresultStatus(result);
            if (status == PGRES_TUPLES_OK) done++;
            else if (status != PGRES_PIPELINE_SYNC) fail(connection, "result");
            PQclear(result);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = end.tv_sec - start.tv_sec + (end.tv_nsec - start.tv_nsec) / 1e9;
    printf("%.0f\n", count / seconds);
    PQfinish(connection);
    return 0;
}
