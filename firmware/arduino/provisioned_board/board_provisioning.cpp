#include "board_provisioning.h"

#include <Preferences.h>
#include <provisioning.h>

static Preferences preferences;
static struct kl_prov board;

/*
 * The items are those of the original tool's example ("key1" …, in "provision"), so that boards in
 * the field keep their key when they get new firmware. It marked three fields with "done"; here
 * "count" says how many there are.
 */
static void itemName(unsigned field, char out[8])
{
    snprintf(out, 8, "key%u", field % 1000u + 1);
}

static unsigned storedCount(void *)
{
    unsigned count = preferences.getUChar("count", 0);

    if (count == 0 && preferences.getBool("done", false))
        count = 3;
    return count;
}

static bool storeCount(void *, unsigned count)
{
    if (preferences.putUChar("count", (uint8_t)count) == 0)
        return false;
    return count > 0 || !preferences.isKey("done") || preferences.remove("done");
}

static bool writeField(void *, unsigned field, const char *text, size_t size)
{
    char name[8];

    itemName(field, name);
    return preferences.putString(name, text) == size;
}

static bool readField(void *, unsigned field, char *out, size_t size)
{
    char name[8];

    itemName(field, name);
    return preferences.isKey(name) && preferences.getString(name, out, size) > 0;
}

static bool eraseFields(void *)
{
    return preferences.clear();
}

static void print(void *, const char *text, size_t size)
{
    Serial.write((const uint8_t *)text, size);
}

/* USB is read by the host some milliseconds later; a UART is empty after flush(). */
static void restart(void *)
{
    Serial.flush();
    delay(100);
    ESP.restart();
}

static void startSerial()
{
    Serial.setRxBufferSize(512); /* a line of 256 bytes may arrive while the board prints */
#if ARDUINO_USB_CDC_ON_BOOT && ARDUINO_USB_MODE
    /* With USB-Serial/JTAG the host may open the port only after the fields were printed: they wait
       in this buffer, whose own size would hold 256 bytes. */
    Serial.setTxBufferSize(2048);
#endif
    Serial.begin(115200);
}

void provision(const char *const *names, unsigned count, uint32_t digests)
{
    struct kl_prov_config config = {};

    startSerial();
    preferences.begin("provision", false);
    config.store.count = storedCount;
    config.store.set_count = storeCount;
    config.store.write = writeField;
    config.store.read = readField;
    config.store.erase = eraseFields;
    config.print = print;
    config.restart = restart;
    config.fields = count;
    config.names = names;
    config.name_count = count;
    config.digest_fields = digests;
    config.sha256 = kl_prov_sha256;
    kl_prov_start(&board, &config, millis());
    while (!kl_prov_is_done(&board)) {
        while (Serial.available() > 0)
            kl_prov_feed(&board, (uint8_t)Serial.read(), millis());
        kl_prov_tick(&board, millis());
        delay(1);
    }
}

bool provisionedField(unsigned field, char *out, size_t size)
{
    return kl_prov_field(&board, field, out, size);
}

bool unprovision()
{
    if (!kl_prov_forget(&board))
        return false;
    restart(NULL);
    return true;
}

void unprovisionWhenHeld(uint8_t pin, uint32_t milliseconds)
{
    static bool held;
    static uint32_t since;

    pinMode(pin, INPUT_PULLUP);
    if (digitalRead(pin) == HIGH) {
        held = false;
    } else if (!held) {
        held = true;
        since = millis();
    } else if (millis() - since >= milliseconds) {
        held = false;
        unprovision();
    }
}
