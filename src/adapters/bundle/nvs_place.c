/* nvs_place.c: which partition --deliver nvs writes to, and the memory for it. See nvs_load.h. */
#include "keyline/nvs_load.h"

#include <string.h>

#include "image.h"
#include "keyline/secret.h"

enum {
    TYPE_DATA = 1,
    DATA_NVS = 2,
    DATA_NVS_KEYS = 4,
};

bool kl_nvs_where(const uint8_t *table, const char *label, struct kl_nvs_where *out,
                  char error[KL_TEXT_MAX])
{
    struct kl_partition_table t;
    char why[KL_TEXT_MAX], others[KL_TEXT_MAX] = "";
    const char *trouble = kl_partitions_read(table, KL_PARTITION_TABLE_SIZE, &t, why);
    size_t used = 0;

    *out = (struct kl_nvs_where){.size = 0};
    if (trouble) {
        kl_format(error, KL_TEXT_MAX,
                  "there is no partition table: --table-offset names its place");
        return false;
    }
    for (unsigned i = 0; i < t.count; i++) {
        const struct kl_partition *row = &t.row[i];
        out->encrypted |= row->type == TYPE_DATA && row->subtype == DATA_NVS_KEYS;
        if (row->type != TYPE_DATA || row->subtype != DATA_NVS)
            continue;
        if (strcmp(row->name, label) == 0) {
            out->offset = row->offset;
            out->size = row->size / KL_NVS_PAGE * KL_NVS_PAGE;
        }
        used += kl_format(others + used, sizeof others - used, used ? ", %s" : "%s", row->name);
    }
    if (out->size > 0 && out->size <= KL_NVS_FILE_MAX)
        return true;
    kl_format(error, KL_TEXT_MAX,
              out->size > 0 ? "its partition %s is larger than 1 MB"
              : used == 0   ? "its partition table has no NVS partition at all, so no %s"
                            : "its partition table has no NVS partition %s, but %s",
              label, others);
    return false;
}

/* A partition that keyline can write. 0 and `error` if it can't. */
static uint32_t find(const struct kl_bundle *b, const char *label, uint32_t *offset,
                     char error[KL_TEXT_MAX])
{
    uint32_t size = 0;
    bool encrypted = false;

    for (unsigned i = 0; i < b->nvs_count; i++) {
        encrypted |= b->nvs[i].keys;
        if (b->nvs[i].keys || strcmp(b->nvs[i].name, label) != 0)
            continue;
        *offset = b->nvs[i].offset;
        size = b->nvs[i].size / KL_NVS_PAGE * KL_NVS_PAGE;
    }
    if (size == 0)
        kl_format(error, KL_TEXT_MAX,
                  "the partition table has no NVS partition %s: name it with --nvs-partition",
                  label);
    else if (encrypted)
        kl_format(error, KL_TEXT_MAX,
                  "the partition table has nvs_keys: this firmware encrypts its NVS, and keyline "
                  "writes plain ones only");
    else if (size < KL_NVS_SIZE_MIN)
        kl_format(error, KL_TEXT_MAX, "the partition %s is smaller than the 0x3000 bytes of an NVS",
                  label);
    else
        return size;
    return 0;
}

/* keyline would write an image that lies there before it reads the partition. */
static bool is_flashed(const struct kl_bundle *b, uint32_t offset, uint32_t size)
{
    for (unsigned r = 0; r < b->region_count; r++)
        if (b->region[r].offset < offset + size &&
            offset < b->region[r].offset + b->region[r].image[0].raw_size)
            return true;
    return false;
}

struct kl_nvs_delivery *kl_nvs_delivery_new(const struct kl_bundle *bundle, const char *label,
                                            const struct kl_nvs_schema *schema,
                                            enum kl_nvs_policy policy, char error[KL_TEXT_MAX])
{
    uint32_t offset = 0, size;

    if (bundle->chip == KL_CHIP_ESP8266) {
        kl_copy(error, KL_TEXT_MAX,
                "--deliver nvs does not go with an ESP8266: its loader can't read flash, and its "
                "library keeps an NVS of another version");
        return NULL;
    }
    if ((size = find(bundle, label, &offset, error)) == 0)
        return NULL;
    if (is_flashed(bundle, offset, size)) {
        kl_format(error, KL_TEXT_MAX,
                  "the images write to the partition %s themselves: leave that image out", label);
        return NULL;
    }
    struct kl_nvs_delivery *d = kl_secret_alloc(sizeof *d);
    struct kl_nvs_room *rooms = kl_secret_alloc(KL_SLOTS_MAX * sizeof *rooms);
    uint8_t *bytes = kl_secret_alloc((size_t)KL_SLOTS_MAX * 2 * size);
    struct kl_key_text *texts = kl_secret_alloc(KL_SLOTS_MAX * sizeof *texts);
    if (!d || !rooms || !bytes || !texts) {
        kl_secret_free(texts, KL_SLOTS_MAX * sizeof *texts);
        kl_secret_free(bytes, (size_t)KL_SLOTS_MAX * 2 * size);
        kl_secret_free(rooms, KL_SLOTS_MAX * sizeof *rooms);
        kl_secret_free(d, sizeof *d);
        kl_copy(error, KL_TEXT_MAX, "out of memory");
        return NULL;
    }
    *d = (struct kl_nvs_delivery){
        .schema = schema, .offset = offset, .size = size, .policy = policy, .room = rooms};
    for (unsigned i = 0; i < KL_SLOTS_MAX; i++) {
        rooms[i].old = bytes + (size_t)2 * i * size;
        rooms[i].image = rooms[i].old + size;
        rooms[i].text = &texts[i];
    }
    return d;
}

void kl_nvs_delivery_free(struct kl_nvs_delivery *d)
{
    if (!d)
        return;
    kl_secret_free(d->room[0].text, KL_SLOTS_MAX * sizeof *d->room[0].text);
    kl_secret_free(d->room[0].old, (size_t)KL_SLOTS_MAX * 2 * d->size);
    kl_secret_free(d->room, KL_SLOTS_MAX * sizeof d->room[0]);
    kl_secret_free(d, sizeof *d);
}
