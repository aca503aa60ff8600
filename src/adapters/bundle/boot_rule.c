#include "boot_rule.h"

#include <string.h>
#include <zlib.h>

#include "bytes.h"

enum {
    APP = 0,
    DATA = 1,
    FACTORY = 0,
    FIRST_SLOT = 0x10,
    LAST_SLOT = 0x1f,
    TEST = 0x20,
    /* a record: sequence number, 20 bytes of name, state, checksum of the sequence number */
    STATE_AT = 24,
    SUM_AT = 28,
    STATE_PENDING = 1,
    STATE_INVALID = 3,
    STATE_ABORTED = 4,
};

static uint32_t sum_of(const uint8_t *record)
{
    return (uint32_t)crc32(UINT32_MAX, record, 4);
}

bool kl_boot_is_record(const uint8_t *record)
{
    return get32(record) != UINT32_MAX && get32(record + SUM_AT) == sum_of(record);
}

/* The record is empty or given up. The bootloader asks this before it looks at the checksum. */
static bool is_void(const uint8_t *record)
{
    uint32_t state = get32(record + STATE_AT);

    return get32(record) == UINT32_MAX || state == STATE_INVALID || state == STATE_ABORTED;
}

static bool is_good(const uint8_t *record)
{
    return !is_void(record) && get32(record + SUM_AT) == sum_of(record);
}

/* The higher sequence number counts; of two equal ones the first. NULL if neither record is good.
 */
static const uint8_t *active_of(const uint8_t *otadata)
{
    const uint8_t *a = otadata, *b = otadata + KL_OTA_SECTOR;

    if (is_good(a) && is_good(b))
        return get32(b) > get32(a) ? b : a;
    if (is_good(a))
        return a;
    return is_good(b) ? b : NULL;
}

static unsigned slots_in(const struct kl_partition_table *table)
{
    unsigned slots = 0;

    for (unsigned i = 0; i < table->count; i++)
        slots += table->row[i].type == APP && table->row[i].subtype >= FIRST_SLOT &&
                 table->row[i].subtype <= LAST_SLOT;
    return slots;
}

/* Factory, or else the lowest slot that the bootloader knows, or else the test program. */
static const struct kl_partition *usual(const struct kl_partition_table *table)
{
    const struct kl_partition *row = kl_partition_find(table, APP, FACTORY);
    unsigned slots = slots_in(table);

    for (unsigned n = 0; !row && n < slots; n++)
        row = kl_partition_find(table, APP, (int)(FIRST_SLOT + n));
    return row ? row : kl_partition_find(table, APP, TEST);
}

/* The bootloader passes over a slot without a partition. It tries the lower slots, then factory,
   then the higher slots. */
static const struct kl_partition *from_slot(const struct kl_partition_table *table, unsigned slot)
{
    const struct kl_partition *row = NULL;
    unsigned slots = slots_in(table);

    for (unsigned n = slot + 1; !row && n-- > 0;)
        row = kl_partition_find(table, APP, (int)(FIRST_SLOT + n));
    if (!row)
        row = kl_partition_find(table, APP, FACTORY);
    for (unsigned n = slot + 1; !row && n < slots; n++)
        row = kl_partition_find(table, APP, (int)(FIRST_SLOT + n));
    return row;
}

struct kl_boot_choice kl_boot_choose(const struct kl_partition_table *table, const uint8_t *otadata)
{
    const struct kl_partition *ota = kl_partition_find(table, DATA, 0);
    struct kl_boot_choice choice = {usual(table), KL_BOOT_NO_OTADATA, false};
    const uint8_t *active;

    if (ota && ota->size < KL_OTA_SIZE)
        return (struct kl_boot_choice){NULL, KL_BOOT_TOO_SMALL, false};
    if (ota && otadata) {
        choice.why = KL_BOOT_NO_CHOICE;
        active = active_of(otadata);
        if (active && slots_in(table) > 0) {
            choice.row = from_slot(table, (get32(active) - 1) % slots_in(table));
            choice.why = KL_BOOT_CHOSEN;
            choice.unsure = get32(active + STATE_AT) == STATE_PENDING;
        }
    }
    if (!choice.row)
        choice.why = KL_BOOT_NOTHING;
    return choice;
}

bool kl_boot_make_choice(const struct kl_partition_table *table, const struct kl_partition *row,
                         uint8_t *otadata)
{
    memset(otadata, 0xff, KL_OTA_SIZE);
    if (kl_boot_choose(table, otadata).row == row)
        return true;
    if (row->type != APP || row->subtype < FIRST_SLOT || row->subtype > LAST_SLOT)
        return false;
    put32(otadata, row->subtype - FIRST_SLOT + 1u);
    put32(otadata + SUM_AT, sum_of(otadata));
    return kl_boot_choose(table, otadata).row == row;
}
