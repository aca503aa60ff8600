/*
 * face_text.h: values as people read them; shared by the faces.
 */
#ifndef KEYLINE_FACE_TEXT_H
#define KEYLINE_FACE_TEXT_H

#include "keyline/station.h"

/* "2024-05-01T12:30:45.123Z" from microseconds since 1970. */
void kl_iso_time(int64_t wall, char out[32]);
/* "12:30:45", here. */
void kl_clock_time(int64_t wall, char out[16]);
/* "8.2 s", "3 min 20 s", "2 h 5 min". */
void kl_duration(kl_us time, char *out, size_t size);
/* "ESP32 rev 3.1, 24:6f:28:01:02:03, 4 MB flash, 40 MHz". */
void kl_identity_text(const struct kl_identity *id, char *out, size_t size);
/* "the chip does not answer (7 tries)". */
void kl_fault_text(const struct kl_fault *fault, char *out, size_t size);
/* "12 done, 1 failed, 0 skipped; 92% at first try; …", for the end. */
void kl_summary_text(const struct kl_snapshot *snap, char *out, size_t size);

#endif
