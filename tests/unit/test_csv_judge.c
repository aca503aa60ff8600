/* Rows that can't be keys are found, and nothing that could be one is suspected. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "adapters/store/csv_judge.h"
#include "adapters/store/csv_value.h"
#include "prng.h"

static struct kl_csv_verdict verdict;
static char said[2048];

static void take(struct kl_csv_judge *j, const struct kl_csv *csv, bool *header)
{
    if (*header)
        kl_csv_judge_header(j, &csv->row);
    else
        assert_true(kl_csv_judge_row(j, &csv->row));
    *header = false;
}

/* What is said of these bytes, as "kind@line,column ×count" words. */
static const char *judge_bytes(const void *data, size_t size, bool header)
{
    struct kl_csv_judge *j = kl_csv_judge_new();
    const char *bytes = data;
    struct kl_csv csv;
    size_t used = 0;
    bool open_end;

    assert_non_null(j);
    kl_csv_judge_bytes(j, bytes, size / 2);
    kl_csv_judge_bytes(j, bytes + size / 2, size - size / 2);
    kl_csv_begin(&csv);
    for (size_t at = 0; at < size && csv.error == KL_CSV_FINE;) {
        at += kl_csv_feed(&csv, bytes + at, size - at);
        if (csv.row_ready)
            take(j, &csv, &header);
    }
    kl_csv_end(&csv);
    open_end = csv.row_ready;
    if (open_end)
        take(j, &csv, &header);
    kl_csv_judge_end(j, open_end, &verdict);
    kl_csv_judge_free(j);
    said[0] = '\0';
    for (unsigned i = 0; i < verdict.count; i++) {
        const struct kl_csv_finding *f = &verdict.finding[i];
        used += (size_t)snprintf(said + used, sizeof said - used, "%s%s@%u,%u*%u", i > 0 ? " " : "",
                                 kl_csv_kind_info(f->kind).word, (unsigned)f->line[0],
                                 (unsigned)f->column, (unsigned)f->count);
        assert_true(used < sizeof said);
    }
    return said;
}

static const char *judge(const char *text)
{
    return judge_bytes(text, strlen(text), false);
}

struct sample {
    const char *text, *said;
};

static void each_is_said(const struct sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(judge(samples[i].text), samples[i].said) != 0)
            fail_msg("of\n%s'%s' is said, not '%s'", samples[i].text, said, samples[i].said);
}
#define EACH_IS_SAID(samples) each_is_said(samples, sizeof(samples) / sizeof *(samples))

#define HEX16 "00112233445566778899AABBCCDDEEFF"
#define K1    "7a1fc3d2e4b5968778695a4b3c2d1e0f"
#define K2    "8b2fc3d2e4b5968778695a4b3c2d1e1f"
#define K3    "9c3fc3d2e4b5968778695a4b3c2d1e2f"
#define K4    "ad4fc3d2e4b5968778695a4b3c2d1e3f"

static void headers_are_found(void **state)
{
    static const struct sample samples[] = {
        {"id,dev_eui,join_eui,app_key\n"
         "eui-70b3d57ed0000001,70B3D57ED0000001,0000000000000000," K1 "\n"
         "eui-70b3d57ed0000002,70B3D57ED0000002,0000000000000000," K2 "\n",
         "header@1,0*1"},
        {"id,dev_eui,join_eui,name,frequency_plan_id,lorawan_version,lorawan_phy_version,app_key\n"
         "a,70B3D57ED0000001,0000000000000000,x,EU_863_870_TTN,MAC_V1_0_2,PHY_V1_0_2_REV_B," K1
         "\n",
         "header@1,0*1"},
        {"DevEUI,JoinEUI,AppKey,NwkKey\n70B3D57ED0000001,0000000000000000," K1 "," K2 "\n",
         "header@1,0*1"},
        {"ThingName,SerialNumber,CSR\nthing-1,0001,MIIC\n", "header@1,0*1"},
        {"Name,DestinationName,DevEui,AppKey\nn1,d,70B3D57ED0000001," K1 "\n", "header@1,0*1"},
        {"device id,key 1,key 2\n70b3d57ed0000001,00112233,44556677\n", "header@1,0*1"},
        {"uuid,nwkKey,appKey\n7a01,ff00,0012\n", "header@1,0*1"},
        {"uuid,nwkKey,appKey\n", "header@1,0*1"}, /* and nothing else */
        {"Label,Secret\nalpha,correct horse\n", "header@1,0*1"},
        {"\"Serial No.\",\"Key (hex)\"\nA1,00ff\nA2,00fe\n", "header@1,0*1"},
        {"Seriennummer;Schl\xc3\xbcssel\n", ""}, /* semicolons are told by another */
        {"Seriennummer,Schl\xc3\xbcssel\nA1,00ff\n", "header@1,0*1"},
        {"serial\nA1\nA2\n", "header@1,0*1"},
        {"uuid,key,Provisioned\n7a01,ff00,Provisioned\n7a02,ff01\n", "header@1,0*1"},
        /* Of a file that was put behind another one. */
        {"a1,70B3D57ED0000001," K1 "\na2,70B3D57ED0000002," K2 "\nid,dev_eui,app_key\n"
         "a3,70B3D57ED0000003," K3 "\n",
         "header@3,0*1"},
        /* In words that no list has, but above columns that are all alike. */
        {"Pruefling,K_A\na1," K1 "\na2," K2 "\na3," K3 "\n", "header@1,0*1"},
        /* No digit in the first row, and digits in every field of all others. */
        {"Nr.,PIN\n1,4711\n2,0815\n3,2345\n", "header@1,0*1"},
        {"Stk,Wert\nS1,a1\nS2,b2\nS3,c3\n", "header@1,0*1"},
        {"anna,kiwi\nS1,a1\nS2,b2\n", ""},         /* too few to tell */
        {"anna,kiwi\nS1,a1\nbob,b2\nS3,c3\n", ""}, /* others are words too */
        {"S0,kiwi\nS1,a1\nS2,b2\nS3,c3\n", ""},
    };

    (void)state;
    EACH_IS_SAID(samples);
}

static void a_skipped_header_is_looked_at_too(void **state)
{
    static const char good[] = "id,key\na1," K1 "\na2," K2 "\na3," K3 "\n";
    static const char none[] = "a0," K4 "\na1," K1 "\na2," K2 "\na3," K3 "\n";
    static const char twice[] = "dut,what\na1," K1 "\ndut,what\na2," K2 "\na3," K3 "\n";

    (void)state;
    assert_string_equal(judge_bytes(good, sizeof good - 1, true), "");
    assert_string_equal(judge_bytes(none, sizeof none - 1, true), "no-header@1,0*1");
    assert_string_equal(judge_bytes(twice, sizeof twice - 1, true), "header@3,0*1");
}

static void what_spreadsheets_do_is_found(void **state)
{
    static const struct sample samples[] = {
        {"s-1,1.12233E+15,8.96529E+19\r\ns-2,2.12233E+15,8.96529E+19\r\n",
         "scientific@1,2*2 scientific@1,3*2"},
        {"s-1,1E+15\ns-2,aa\n", "scientific@1,2*1"},
        {"\"1,5E+15\",aa\n", "scientific@1,1*1"},
        {"s-1,#NAME?\r\ns-2,#NAME?\r\n", "error-value@1,2*2"},
        {"s-1,########\ns-2,aa\n", "error-value@1,2*1"},
        {"s-1,Err:508\ns-2,#WERT!\n", "error-value@1,2*2"},
        {"s-1,\"=\"\"0011223344\"\"\"\r\ns-2,\"=\"\"0011223355\"\"\"\r\n", "formula@1,2*2"},
        {"s-1,=DEC2HEX(A1)\n", "formula@1,2*1"},
        {"s-1,'0011223344556677\n", "formula@1,2*1"},
        {"s-1,11223344556677\ns-2,8899AABBCCDDEEFF\ns-3,8899AABBCCDDEEF0\n", "zeros@1,2*1"},
        {"s-1,01234567\ns-2,12345678\ns-3,00345678\ns-4,22345678\ns-5,3345678\n", "zeros@5,2*1"},
        {"s-1,1234567890123450\ns-2,2234567890123460\ns-3,3234567890123470\n"
         "s-4,4234567890123480\ns-5,5234567890123490\ns-6,6234567890123400\n",
         "rounded@1,2*6"},
        {"s-1,12345678.0\ns-2,22345678.0\n", "fraction@1,2*2"},
        {"s-1,12-Mar\ns-2,1a2b\ns-3,3c4d\ns-4,5e6f\n", "date@1,2*1"},
        {"s-1,1a2b\ns-2,2024-03-12 00:00:00\ns-3,3c4d\ns-4,5e6f\n", "date@2,2*1"},
        {"s-1,TRUE\ns-2,1a2b\ns-3,3c4d\ns-4,5e6f\n", "boolean@1,2*1"},
        {"s-1,$1234.50\ns-2,1a2b\n", "currency@1,2*1"},
        {"s-1,NaN\ns-2,1a2b\ns-3,3c4d\ns-4,5e6f\n", "placeholder@1,2*1"},
        {"s-1,\"\"\"" K1 "\"\"\"\n", "quotes@1,2*1"},
        {"s-1,\xe2\x80\x9c" K1 "\xe2\x80\x9d\n", "quotes@1,2*1"},
        {"s-1,0011223344556677," K1 "\ns-2,0011223344556688," K1 "\n", "repeated@2,3*1"},
        {"s-1," K1 "\ns-2," K2 "\ns-3," K3 "\ns-4," K4 "\ns-5," K1 "0\ns-6," K1 "1\n"
         "s-7," K1 "2\ns-8," K1 "\n",
         "repeated@8,2*1"},
    };

    (void)state;
    EACH_IS_SAID(samples);
}

/* … whatever stands between, and however late such a column begins. */
static void repeated_values_are_found_far_apart(void **state)
{
    static char text[100000];
    size_t used = 0;
    char said_of_it[64];

    (void)state;
    for (unsigned i = 1; i <= 1000; i++) {
        int n = i < 200
                    ? snprintf(text + used, sizeof text - used, "s-%u,%x,\n", i, 0x10000 + i)
                    : snprintf(text + used, sizeof text - used, "s-%u,%x,%032x\n%s", i, 0x10000 + i,
                               0x7a000000 + (i == 990 ? 310 : i), i % 7 == 0 ? "\n\n" : "");
        used += (size_t)n;
    }
    /* Rows 203, 210 … 987 have two blank lines behind them. */
    snprintf(said_of_it, sizeof said_of_it, "repeated@%u,3*1", 990 + 2 * ((987 - 203) / 7 + 1));
    assert_non_null(strstr(judge(text), said_of_it));
}

static void what_is_no_row_is_found(void **state)
{
    static const struct sample samples[] = {
        {"<!DOCTYPE html>\n<html><head>\n", "markup@0,0*1"},
        {"\n  <html lang=en>\n", "markup@0,0*1"},
        {"<?xml version=1?>\n", "markup@0,0*1"},
        {"{\"error\":true}\n", "markup@0,0*1"},
        {"404: Not Found", "markup@0,0*1"},
        {"503 Service Unavailable\n", "markup@0,0*1"},
        {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "markup@0,0*1"},
        {"-----BEGIN PGP MESSAGE-----\n", "binary@0,0*1"},
        {"PK\x03\x04zzz\n", "binary@0,0*1"},
        {"%PDF-1.7\n", "binary@0,0*1"},
        {"<<<<<<< HEAD\na,b\n=======\na,c\n>>>>>>> theirs\n", "conflict@1,0*3"},
        {"a,1f\n#b,2f\nc,3f\nd,4f\n", "comment@2,0*1"},
        {"a,1f\nb,2f\nc,3f\nTotal,3\n", "decoration@4,0*1"},
        {"a,1f\nb,2f\n(2 rows affected)\n", "decoration@3,0*1"},
        {"-----,-----\na,1f\nb,2f\n", "decoration@1,0*1"},
        {"sep=,\r\na,1f\nb,2f\n", "decoration@1,0*1"},
        {"a,\"1f\nb,2f\nc,\"\nd,4f\ne,5f\n", "open-quote@1,2*1"},
        {"a," K1 "\nb," K2 "\nc,9c3fc3d2", "truncated@3,0*1"},
        {"a," K1 "\nb," K2 "\nc", "truncated@3,0*1"},
        {"a,Provisioned," K1 "\n", "mark-inside@1,2*1"},
        {"a,b,c,d\ne,f,g,\nh,i,j,\nk,l,m,\n", "tails@1,0*1"},
        {"x,1f\n,2f\n,3f\n,4f\n", "blanks@2,1*3"},
    };

    (void)state;
    EACH_IS_SAID(samples);
}

static void what_nobody_sees_is_found(void **state)
{
    static const struct sample samples[] = {
        {"s-1,00\xc2\xa0"
         "11\n",
         "invisible@1,2*1"},
        {"s\xe2\x80\x8b-1,0011\n", "invisible@1,1*1"},
        {"a,01\n\xef\xbb\xbf"
         "b,02\n",
         "invisible@2,1*1"},
        {"s-1,0011\xe2\x80\xae\n", "invisible@1,2*1"},
        {"s-1,\xa0"
         "0011\n",
         "invisible@1,2*1"},
        {"M\xc3\xbcller,01\nM\xfcller,02\n", "encoding@2,0*1"},
        {"\xef\xbb\xbfs,01\nM\xfcller,02\n", "encoding@2,0*1"},
        {"s-1,\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\xe2\x80\xa2\n", "masked@1,2*1"},
        {"s-1,********\n", "masked@1,2*1"},
        {"s-1,00112233\xe2\x80\xa6\n", "cut@1,2*1"},
        {"s-1,00112233...\n", "cut@1,2*1"},
    };
    static const char nul[] = "a,b\nc,d\n\0\0\0\0\0\0\0\0";
    static const char utf16[] = "a\0,\0b\0\n\0";

    (void)state;
    EACH_IS_SAID(samples);
    assert_string_equal(judge_bytes(nul, sizeof nul - 1, false), "binary@0,0*1");
    assert_string_equal(judge_bytes(utf16, sizeof utf16 - 1, false), "binary@0,0*1");
}

static void one_odd_row_among_many_is_found(void **state)
{
    static const struct {
        const char *odd, *said;
    } samples[] = {
        {"7a1fc3d2e4b5968778695a4b3c2d1eO0", "odd@5,2*1"},  /* the letter O */
        {"7a1fc3d2e4b5968778695a", "odd@5,2*1"},            /* cut off */
        {"7a1fc3d2e4b5968778695a4b3c2d1e0ff", "odd@5,2*1"}, /* one too many */
        {K1 K1, ""},                                        /* a longer key, as firmware may take */
        {"7a1fc3d2e4b5968778695a4b3c2d1e0", ""},            /* may be printed without its zero */
        {"7a1fc3d2e4b5968778695a4b3c2d1e0f", ""},
    };
    char text[1024];
    size_t used;

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        used = 0;
        for (unsigned r = 1; r <= 12; r++)
            if (r == 5)
                used +=
                    (size_t)snprintf(text + used, sizeof text - used, "d5,%s\n", samples[i].odd);
            else
                used += (size_t)snprintf(text + used, sizeof text - used, "d%u,%030xaf\n", r,
                                         r * 2654435761u);
        if (strcmp(judge(text), samples[i].said) != 0)
            fail_msg("of %s '%s' is said", samples[i].odd, said);
    }
}

/* What firmware could use. None of these may ever be suspected. */
static void whatever_could_be_a_key_is_fine(void **state)
{
    static const char *const fine[] = {
        "",
        "a\n",
        "alpha\nbeta\ngamma\n",
        "uuid_device1,ntwKey_device1,appKey_device1\nuuid_device2,ntwKey_device2,appKey_device2\n",
        "device1,secret1\ndevice2,secret2\n",
        "device1,secret1\n",
        "key1,aa01\nkey2,aa02\nkey3,aa03\n",
        "device-1,hunter2\ndevice-2,password\ndevice-3,token9\n",
        "alpha,beta\ngamma7,delta9\n",
        "dev-1,correct horse battery staple\ndev-2,Tr0ub4dor&3\n",
        "#1,aa\n#2,bb\n#3,cc\n",
        "1,12345678\n2,2345678\n3,345678\n", /* decimals without padding */
        "96,aa\n97,ab\n98,ac\n99,ad\n100,ae\n101,af\n",
        "a,4294967295\nb,123456789\nc,3123456789\nd,2123456789\n",
        "a,ff\nb,f\nc,1\nd,12\n",
        "a,1e5\nb,12E45678\nc,1E10\n", /* hex */
        "a,YWJjZA==\nb,MTIzNA==\nc,8EaF+/==\nd,=x9\n",
        "a,MyWifi,opensesame\nb,MyWifi,opensesame\nc,MyWifi,opensesame\n",
        "a,0000000000000000," K1 "\nb,0000000000000000," K2 "\nc,0000000000000000," K3 "\n",
        "a," HEX16 "," K1 "\nb," HEX16 "," K2 "\nc," HEX16 "," K3 "\nd," HEX16 "," K4 "\n",
        "a," K1 "\na," K1 "\n\"a\"," K1 "\n", /* exact copies are one key */
        "a,true,1\nb,true,2\nc,false,3\n",
        "a,TRUE\nb,FALSE\nc,TRUE\nd,TRUE\n",
        "a,2024-03-12," K1 "\nb,2024-03-13," K2 "\nc,2024-03-14," K3 "\n",
        "2024-03-12,aa\nx,bb\ny,cc\nz,dd\n",
        "a,none,1\nb,none,2\nc,none,3\n",
        "a,1.0," K1 "\nb,2.0," K2 "\n",
        "a,12.5\nb,$money$\n",
        "a,{curly}\nb,<angle>\nc,[square]\n",
        "Total,aa\nb,bb\nc,cc\nd,dd\n",
        "M\xfcller,01\nJ\xf6rg,02\n", /* one encoding, if an old one */
        "M\xc3\xbcller,01\n\xe6\x97\xa5\xe6\x9c\xac,02\n",
        "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x94\xa7,01\n", /* a label of two signs in one */
        "\xef\xbb\xbf"
        "a,b\r\nc,d\r\n",
        "a,b,,\nc,d,,\n",
        "a,b,\nc,d\n",
        "a,b,c,d\ne,f,g,\n",
        "a,b,,Provisioned\nc,d\n",
        "a," K1 ",Provisioned\nb," K2 "\nc," K3,
        "a,x'y\nb,it's\n",
        "s-1,90:12:34:56:ab:cd\ns-2,90:12:34:56:ab:ce\n",
        "unit-0001,9e3779b1,9e38\nunit-0002,3c6ef362,13c70\nunit-0003,daa66d13,1daa8\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (strcmp(judge(fine[i]), "") != 0)
            fail_msg("of\n%s'%s' is said", fine[i], said);
}

/* Random keys of many forms: what one finds in them is chance. Prints what it suspects. */
static size_t random_row(struct prng *p, unsigned form, unsigned r, char *out, size_t room)
{
    static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t a = prng_next(p), b = prng_next(p);
    char text[25];

    for (unsigned i = 0; i < 24; i++)
        text[i] = base64[prng_next(p) & 63];
    text[24] = '\0';
    switch (form) {
    case 0:
        return (size_t)snprintf(out, room, "d-%u,%016llx%016llx\n", r, (unsigned long long)a,
                                (unsigned long long)b);
    case 1: /* without padding */
        return (size_t)snprintf(out, room, "d-%u,%llX,%llx\n", r, (unsigned long long)a,
                                (unsigned long long)(b >> 32));
    case 2:
        return (size_t)snprintf(out, room, "%u,%llu,%u\n", r, (unsigned long long)a,
                                (unsigned)(b >> 32));
    case 3:
        return (size_t)snprintf(out, room, "d-%u,%s\n", r, text);
    case 4: /* PINs of six digits, with and without zeros in front */
        return (size_t)snprintf(out, room, "d-%u,%06u,%u\n", r, (unsigned)(a % 1000000),
                                (unsigned)(b % 1000000));
    case 5:
        return (size_t)snprintf(out, room, "%04x%08x,%012llx\n", r, (unsigned)a,
                                (unsigned long long)(b >> 16));
    default:
        return (size_t)snprintf(out, room, "%u,%.8s,%u\n", 1000 + r, text, (unsigned)(a & 255));
    }
}

static void chance_is_no_suspicion(void **state)
{
    static char text[1 << 20];
    unsigned suspected = 0, files = 0;

    (void)state;
    for (unsigned form = 0; form < 7; form++)
        for (uint64_t seed = 1; seed <= 60; seed++, files++) {
            static const unsigned rows[] = {1, 2, 3, 5, 12, 40, 200, 3000};
            struct prng p = {seed * 16 + form};
            size_t used = 0;

            for (unsigned r = 1; r <= rows[seed % 8]; r++)
                used += random_row(&p, form, r, text + used, sizeof text - used);
            suspected += strcmp(judge_bytes(text, used, false), "") != 0;
            if (said[0] != '\0')
                print_message("form %u, seed %llu: %s\n", form, (unsigned long long)seed, said);
        }
    assert_int_equal(suspected, 0);
}

static void it_is_said_with_line_column_and_the_way_out(void **state)
{
    char text[KL_TEXT_MAX];
    enum kl_csv_kind kind;

    (void)state;
    judge("s-1,#NAME?\r\ns-2,#NAME?\r\ns-3,ab\n");
    kl_csv_finding_text(&verdict.finding[0], text);
    assert_string_equal(text, "lines 1 and 2, column 2: a spreadsheet's error");
    assert_true(kl_csv_refused(&verdict, 0, text));
    assert_string_equal(text, "lines 1 and 2, column 2: a spreadsheet's error: export the column "
                              "as text; or --accept error-value");
    assert_true(kl_csv_kind_by_word("error-value", &kind));
    assert_false(kl_csv_refused(&verdict, 1u << kind, text));
    assert_string_equal(text, "");
    assert_false(kl_csv_kind_by_word("nonsense", &kind));
}

/* --csv-header skips the first row alone: it is no way out of a header further down. */
static void a_header_further_down_has_its_own_way_out(void **state)
{
    static const char *const lists[] = {
        "a1,70B3D57ED0000001," K1 "\na2,70B3D57ED0000002," K2 "\nid,dev_eui,app_key\n"
        "a3,70B3D57ED0000003," K3 "\n",
        "id,dev_eui,app_key\na1,70B3D57ED0000001," K1 "\na2,70B3D57ED0000002," K2
        "\nid,dev_eui,app_key\na3,70B3D57ED0000003," K3 "\na4,70B3D57ED0000004," K1
        "\na5,70B3D57ED0000005,00" K2 "\na6,70B3D57ED0000006,00" K3 "\na7,70B3D57ED0000007,01" K3
        "\na8,70B3D57ED0000008,02" K3 "\n",
    };
    char text[KL_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        judge(lists[i]);
        assert_true(kl_csv_refused(&verdict, 0, text));
        assert_non_null(strstr(text, i == 0 ? "line 3: a header" : "lines 1 and 4: a header"));
        assert_non_null(strstr(text, "keyline keys lint --fix"));
        assert_null(strstr(text, "--csv-header"));
    }
    judge("id,dev_eui,app_key\na1,70B3D57ED0000001," K1 "\na2,70B3D57ED0000002," K2 "\n");
    assert_true(kl_csv_refused(&verdict, 0, text));
    assert_non_null(strstr(text, "--csv-header"));
}

static void every_sentence_fits(void **state)
{
    char text[KL_TEXT_MAX];

    (void)state;
    for (int kind = 0; kind < KL_CSV_KIND_COUNT; kind++) {
        struct kl_csv_verdict v = {.count = 2};

        v.finding[0] = (struct kl_csv_finding){
            (enum kl_csv_kind)kind, 32, 1999999, {1999996, 1999997, 1999998}};
        v.finding[1] = v.finding[0];
        assert_true(kl_csv_refused(&v, 0, text));
        assert_non_null(strstr(text, kl_csv_kind_info((enum kl_csv_kind)kind).word));
        assert_true(strlen(text) < KL_TEXT_MAX - 40); /* room for the file's name */
    }
}

/* Labels that only count on are looked up once; that must not change what they are. */
static void a_counting_label_is_what_it_would_be_alone(void **state)
{
    static const char *const labels[] = {
        "eui0001",    "eui0002",    "eui64",      "eui064",  "eui640",    "bench-0001",
        "bench-0002", "key001",     "key1",       "key",     "serial000", "0001",
        "x000",       "devkey-001", "devkey-002", "key002",  "eui64",     "",
        "dev 001",    "dev001",     "Key003",     "KEY 004", "e0001",     "name999"};
    struct kl_numbered_name before = {.size = 0};

    (void)state;
    for (unsigned i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        struct kl_span v = {(const uint8_t *)labels[i], strlen(labels[i])};
        assert_int_equal(kl_value_name(v, &before), kl_value_name(v, NULL));
    }
    struct kl_span eui = {(const uint8_t *)"eui64", 5}, key = {(const uint8_t *)"key001", 6};
    assert_int_equal(kl_value_name(eui, &before), KL_NAME_EXACT);
    assert_int_equal(kl_value_name(key, &before), KL_NAME_NUMBERED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_found),
        cmocka_unit_test(a_skipped_header_is_looked_at_too),
        cmocka_unit_test(what_spreadsheets_do_is_found),
        cmocka_unit_test(repeated_values_are_found_far_apart),
        cmocka_unit_test(what_is_no_row_is_found),
        cmocka_unit_test(what_nobody_sees_is_found),
        cmocka_unit_test(one_odd_row_among_many_is_found),
        cmocka_unit_test(whatever_could_be_a_key_is_fine),
        cmocka_unit_test(chance_is_no_suspicion),
        cmocka_unit_test(it_is_said_with_line_column_and_the_way_out),
        cmocka_unit_test(a_header_further_down_has_its_own_way_out),
        cmocka_unit_test(every_sentence_fits),
        cmocka_unit_test(a_counting_label_is_what_it_would_be_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
