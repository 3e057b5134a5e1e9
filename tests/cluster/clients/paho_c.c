/*
 * A client on the Paho library for C: three subscribers, one at each QoS, a publisher that publishes at each QoS and
 * once with RETAIN, and a client that dies and leaves a will. Tells every arrival as a line of standard output:
 *
 *     <QoS of the subscription> <topic> <QoS> <RETAIN> <payload>
 *
 * Usage: paho_c <host port of publisher> <of subscribers> <of the one that dies> <prefix> <3|5> <user> <password>
 *               <messages at each QoS>
 */

#include <MQTTClient.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { QOS_LEVELS = 3, KEEP_ALIVE_S = 60, WAIT_S = 10, NAME_MAX_BYTES = 200 };

struct account {
    const char *prefix, *user, *password;
    int v5;
};

struct subscriber {
    MQTTClient client;
    int qos, arrived, kept;
};

/* Arrivals are told by a thread of the library. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

static void must(int holds, const char *what, int code) {
    if (holds) return;
    fprintf(stderr, "paho_c: %s: code %d\n", what, code);
    /* Nothing of what was begun is of use. */
    exit(1);
}

static MQTTClient made(const char *host, const char *port, const struct account *account, const char *role) {
    char uri[NAME_MAX_BYTES], id[NAME_MAX_BYTES];
    snprintf(uri, sizeof uri, "tcp://%s:%s", host, port);
    snprintf(id, sizeof id, "%s-%s", account->prefix, role);
    MQTTClient client = NULL;
    MQTTClient_createOptions options = MQTTClient_createOptions_initializer;
    options.MQTTVersion = account->v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    int code = MQTTClient_createWithOptions(&client, uri, id, MQTTCLIENT_PERSISTENCE_NONE, NULL, &options);
    must(code == MQTTCLIENT_SUCCESS, "create", code);
    return client;
}

static void connected(MQTTClient client, const struct account *account, MQTTClient_willOptions *will) {
    MQTTClient_connectOptions v3 = MQTTClient_connectOptions_initializer;
    MQTTClient_connectOptions v5 = MQTTClient_connectOptions_initializer5;
    MQTTClient_connectOptions options = account->v5 ? v5 : v3;
    options.MQTTVersion = account->v5 ? MQTTVERSION_5 : MQTTVERSION_3_1_1;
    options.keepAliveInterval = KEEP_ALIVE_S;
    options.connectTimeout = WAIT_S;
    options.username = account->user;
    options.password = account->password;
    options.will = will;
    if (account->v5) {
        options.cleanstart = 1;
        MQTTResponse response = MQTTClient_connect5(client, &options, NULL, NULL);
        must(response.reasonCode == MQTTREASONCODE_SUCCESS, "connect at 5", response.reasonCode);
        MQTTResponse_free(response);
    } else {
        options.cleansession = 1;
        int code = MQTTClient_connect(client, &options);
        must(code == MQTTCLIENT_SUCCESS, "connect at 3.1.1", code);
    }
}

static void subscribed(MQTTClient client, const struct account *account, int qos) {
    char filter[NAME_MAX_BYTES];
    snprintf(filter, sizeof filter, "%s/#", account->prefix);
    if (account->v5) {
        MQTTResponse response = MQTTClient_subscribe5(client, filter, qos, NULL, NULL);
        must((int)response.reasonCode == qos, "subscribe at 5", response.reasonCode);
        MQTTResponse_free(response);
    } else {
        int code = MQTTClient_subscribe(client, filter, qos);
        must(code == MQTTCLIENT_SUCCESS, "subscribe at 3.1.1", code);
    }
}

static MQTTClient_deliveryToken published(
    MQTTClient client, const struct account *account, const char *last, const char *payload, int qos, int retained) {
    char topic[NAME_MAX_BYTES];
    snprintf(topic, sizeof topic, "%s/%s", account->prefix, last);
    MQTTClient_message message = MQTTClient_message_initializer;
    message.payload = (void *)payload;
    message.payloadlen = (int)strlen(payload);
    message.qos = qos;
    message.retained = retained;
    MQTTClient_deliveryToken token = 0;
    int code;
    if (account->v5) {
        MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
        code = response.reasonCode;
        MQTTResponse_free(response);
    } else {
        code = MQTTClient_publishMessage(client, topic, &message, &token);
    }
    must(code == MQTTCLIENT_SUCCESS, "publish", code);
    return token;
}

static void acknowledged(MQTTClient client, MQTTClient_deliveryToken token) {
    int code = MQTTClient_waitForCompletion(client, token, WAIT_S * 1000L);
    must(code == MQTTCLIENT_SUCCESS, "a message is not acknowledged", code);
}

static int heard(void *context, char *topic, int topic_bytes, MQTTClient_message *message) {
    (void)topic_bytes; /* Nobody publishes a topic with a zero byte here. */
    struct subscriber *subscriber = context;
    pthread_mutex_lock(&lock);
    printf("%d %s %d %d %.*s\n", subscriber->qos, topic, message->qos, message->retained, message->payloadlen,
           (const char *)message->payload);
    fflush(stdout);
    subscriber->arrived++;
    subscriber->kept |= message->retained;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    MQTTClient_freeMessage(&message);
    MQTTClient_free(topic);
    return 1;
}

static void lost(void *context, char *cause) {
    fprintf(stderr, "paho_c: the connection at QoS %d is lost: %s\n", ((struct subscriber *)context)->qos,
            cause ? cause : "no cause is told");
    exit(1);
}

/* Until every subscriber has its retained message and so many messages. */
static void await(struct subscriber *subscribers, int messages) {
    struct timespec limit;
    clock_gettime(CLOCK_REALTIME, &limit);
    limit.tv_sec += WAIT_S;
    pthread_mutex_lock(&lock);
    for (int place = 0; place < QOS_LEVELS; place++) {
        while (!subscribers[place].kept || subscribers[place].arrived < messages) {
            int code = pthread_cond_timedwait(&changed, &lock, &limit);
            must(code == 0, "messages are missing; arrived have", subscribers[place].arrived);
        }
    }
    pthread_mutex_unlock(&lock);
}

/* A process of its own: that it ends closes its socket without DISCONNECT. */
static pid_t doomed(const char *host, const char *port, const struct account *account, int told) {
    pid_t child = fork();
    must(child >= 0, "fork", child);
    if (child > 0) return child;
    char go, topic[NAME_MAX_BYTES];
    if (read(told, &go, 1) != 1) _exit(1);
    snprintf(topic, sizeof topic, "%s/will", account->prefix);
    MQTTClient_willOptions will = MQTTClient_willOptions_initializer;
    will.topicName = topic;
    will.message = "gone";
    will.qos = 2;
    connected(made(host, port, account, "doomed"), account, &will);
    _exit(0);
}

int main(int count, char **arguments) {
    must(count == 12, "arguments: three times host and port, prefix, version, user, password, messages", count);
    char **hosts = arguments + 1;
    struct account account = {arguments[7], arguments[9], arguments[10], strcmp(arguments[8], "5") == 0};
    int numbers = atoi(arguments[11]);

    /* Before the library has threads, which a fork would not copy. */
    int told[2];
    must(pipe(told) == 0, "pipe", 0);
    pid_t child = doomed(hosts[4], hosts[5], &account, told[0]);

    MQTTClient publisher = made(hosts[0], hosts[1], &account, "pub");
    connected(publisher, &account, NULL);
    acknowledged(publisher, published(publisher, &account, "kept", "kept", 1, 1));

    struct subscriber subscribers[QOS_LEVELS] = {0};
    for (int qos = 0; qos < QOS_LEVELS; qos++) {
        char role[] = {'s', 'u', 'b', (char)('0' + qos), 0};
        subscribers[qos].qos = qos;
        subscribers[qos].client = made(hosts[2], hosts[3], &account, role);
        int code = MQTTClient_setCallbacks(subscribers[qos].client, &subscribers[qos], lost, heard, NULL);
        must(code == MQTTCLIENT_SUCCESS, "callbacks", code);
        connected(subscribers[qos].client, &account, NULL);
        subscribed(subscribers[qos].client, &account, qos);
    }
    await(subscribers, 1);

    for (int number = 0; number < numbers; number++) {
        for (int qos = 0; qos < QOS_LEVELS; qos++) {
            char payload[16], last[] = {(char)('0' + qos), 0};
            snprintf(payload, sizeof payload, "%d", number);
            acknowledged(publisher, published(publisher, &account, last, payload, qos, 0));
        }
    }
    await(subscribers, 1 + QOS_LEVELS * numbers);

    int status = 1;
    must(write(told[1], "!", 1) == 1, "the one that dies is not told", 0);
    must(waitpid(child, &status, 0) == child && status == 0, "the one that dies did not connect", status);
    await(subscribers, 1 + QOS_LEVELS * numbers + 1);

    for (int qos = 0; qos < QOS_LEVELS; qos++) {
        if (account.v5)
            MQTTClient_disconnect5(subscribers[qos].client, 1000, MQTTREASONCODE_SUCCESS, NULL);
        else
            MQTTClient_disconnect(subscribers[qos].client, 1000);
        MQTTClient_destroy(&subscribers[qos].client);
    }
    MQTTClient_destroy(&publisher);
    return 0;
}
