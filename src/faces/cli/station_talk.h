/* station_talk.h: asks the station that works on a CSV to do something, and hears if it refuses. */
#ifndef KEYLINE_FACES_STATION_TALK_H
#define KEYLINE_FACES_STATION_TALK_H

#include "keyline/command.h"

enum {
    STATION_LOOKS = 100, /* looks that one answer may take: ten seconds */
};

struct station_talk;

/* Sends the command; NULL if no station can be reached by this user. */
struct station_talk *station_ask(const char *csv, const struct kl_command *command);
/* Waits a tenth of a second for what it says. False once it has hung up. */
bool station_hear(struct station_talk *t);
/* Whether it has refused; then `why` gets its words. */
bool station_refused(struct station_talk *t, char why[KL_TEXT_MAX]);
void station_leave(struct station_talk *t);

#endif
