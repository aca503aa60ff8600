#!/usr/bin/env python3
"""validate.py FORM FILE...: reads exports as the networks do; shares no code with keyline.

Prints what is wrong and ends with 1. With --count N each file has to hold N devices."""
import csv
import json
import re
import sys

EUI = re.compile(r"[0-9A-Fa-f]{16}\Z")
KEY = re.compile(r"[0-9A-Fa-f]{32}\Z")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}\Z")
TTS_COLUMNS = """id dev_eui join_eui app_eui name description frequency_plan_id lorawan_version
lorawan_phy_version brand_id model_id hardware_version firmware_version band_id app_key nwk_key rx1_delay
supports_32_bit_f_cnt dev_addr app_s_key f_nwk_s_int_key last_f_cnt_up last_n_f_cnt_down
last_a_f_cnt_down supports_class_c""".split()


def need(condition, what):
    if not condition:
        raise ValueError(what)


def members(o, required, optional=()):
    need(isinstance(o, dict), "no object")
    need(set(required) <= set(o), f"lacks {set(required) - set(o)}")
    need(set(o) <= set(required) | set(optional), f"unknown {set(o) - set(required) - set(optional)}")


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    need(text == "" or text.endswith("\n"), "the last line does not end")
    need("\r" not in text, "a carriage return")
    return text


def objects(path):
    for line in rows_of(path).splitlines():
        pairs = json.loads(line, object_pairs_hook=lambda p: p)
        need(len({name for name, _ in pairs}) == len(pairs), "a member comes twice")
        yield json.loads(line)


def tts(path):
    text = rows_of(path)
    first = text.split("\n")[0][:1024]
    need(first.count(";") == 0 or first.count(",") == 0, "which separator?")
    table = list(csv.reader(text.splitlines(), delimiter=";" if ";" in first else ","))
    header, rows = table[0], table[1:]
    need(set(header) <= set(TTS_COLUMNS), "a column that The Things Stack does not know")
    need(len(set(header)) == len(header), "a column comes twice")
    need({"dev_eui", "join_eui"} <= set(header), "lacks dev_eui or join_eui")
    for row in rows:
        need(len(row) == len(header), "a row of another length")
        d = dict(zip(header, row))
        need(all(value for value in row), "an empty cell: it would be parsed all the same")
        need(EUI.match(d["dev_eui"]) and EUI.match(d["join_eui"]), "no EUI")
        for name in ("app_key", "nwk_key"):
            need(name not in d or KEY.match(d[name]), f"{name} is no key")
        if "nwk_key" in d:
            need(d.get("lorawan_version") == "MAC_V1_1", "an nwk_key for LoRaWAN 1.0")
        need(len(d.get("name", "")) <= 50, "the name is too long")
        yield d["dev_eui"]


def chirpstack(path):
    for o in objects(path):
        members(o, ["device"], ["deviceKeys"])
        members(o["device"], ["devEui", "name", "applicationId", "deviceProfileId"],
                ["joinEui", "description", "tags", "variables"])
        need(EUI.match(o["device"]["devEui"]), "devEui")
        need(UUID.match(o["device"]["applicationId"]), "applicationId")
        need(UUID.match(o["device"]["deviceProfileId"]), "deviceProfileId")
        need(MAC.match(o["device"]["tags"]["mac"]), "the tag mac")
        if "deviceKeys" in o:
            members(o["deviceKeys"], ["devEui", "nwkKey"], ["appKey", "genAppKey"])
            need(o["deviceKeys"]["devEui"] == o["device"]["devEui"], "the keys of another device")
            need(all(KEY.match(v) for k, v in o["deviceKeys"].items() if k != "devEui"), "a key")
        yield o["device"]["devEui"]


def aws_lorawan(path):
    tokens = set()
    for o in objects(path):
        members(o, ["Type", "Name", "DestinationName", "ClientRequestToken", "LoRaWAN"], ["Description", "Tags"])
        need(o["Type"] == "LoRaWAN", "Type")
        need(re.match(r"[a-zA-Z0-9-_]{1,64}\Z", o["ClientRequestToken"]), "ClientRequestToken")
        need(o["ClientRequestToken"] not in tokens, "two requests have one token")
        tokens.add(o["ClientRequestToken"])
        lora = o["LoRaWAN"]
        if "OtaaV1_1" in lora:
            members(lora, ["DevEui", "DeviceProfileId", "ServiceProfileId", "OtaaV1_1"])
            members(lora["OtaaV1_1"], ["AppKey", "NwkKey", "JoinEui"])
            keys = lora["OtaaV1_1"]
        else:
            members(lora, ["DevEui", "DeviceProfileId", "ServiceProfileId", "OtaaV1_0_x"])
            members(lora["OtaaV1_0_x"], ["AppKey"], ["AppEui", "JoinEui", "GenAppKey"])
            keys = lora["OtaaV1_0_x"]
            need(("AppEui" in keys) != ("JoinEui" in keys), "AppEui or JoinEui")
        need(EUI.match(lora["DevEui"]), "DevEui")
        for name, value in keys.items():
            need((EUI if name.endswith("Eui") else KEY).match(value), name)
        for tag in o.get("Tags", []):
            members(tag, ["Key", "Value"])
        yield lora["DevEui"]


def aws_things(path):
    for o in objects(path):
        need(all(isinstance(value, str) for value in o.values()), "a parameter that is no text")
        need(re.match(r"[a-zA-Z0-9:_-]{1,128}\Z", o["ThingName"]), "ThingName")
        yield o["ThingName"]


def thingpark(path):
    for row in csv.reader(rows_of(path).splitlines()):
        need(row[0] == "CREATE_OTAA", "the directive")
        need(len(row) >= 6, "columns")
        need(EUI.match(row[1]) and row[2] == "" and row[3], "columns B to D")
        need(row[4] == "" or EUI.match(row[4]), "JoinEUI")
        need(KEY.match(row[5]), "AppKey")
        need(len(row) < 7 or row[6] == "", "column G")
        yield row[1]


def one_of_list(d):
    need(MAC.match(d["mac"]) and d["label"], "label and MAC")
    need(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\Z", d["provisioned"]), "time")
    if d.get("qr"):
        m = re.match(r"LW:D0:([0-9A-F]{16}):([0-9A-F]{16}):[0-9A-F]{8}\Z", d["qr"])
        need(m and m.group(1) == d["join_eui"] and m.group(2) == d["dev_eui"], "the QR code's text")
    return d["mac"]


def list_csv(path):
    text = rows_of(path)
    for d in csv.DictReader(text.splitlines()):
        need(None not in d and None not in d.values(), "a row of another length")
        yield one_of_list(d)


def list_json(path):
    for o in objects(path):
        yield one_of_list(o)


FORMS = {"tts": tts, "chirpstack": chirpstack, "aws-lorawan": aws_lorawan, "aws-things": aws_things,
         "thingpark": thingpark, "list": list_csv, "list-json": list_json}


def main():
    arguments = sys.argv[1:]
    count = None
    if arguments[0] == "--count":
        count = int(arguments[1])
        arguments = arguments[2:]
    failed = False
    for path in arguments[1:]:
        try:
            devices = list(FORMS[arguments[0]](path))
            need(len(set(devices)) == len(devices), "a device comes twice")
            need(devices or count == 0, "no devices")
            need(count is None or len(devices) == count, f"{len(devices)} devices")
        except (ValueError, KeyError, IndexError) as error:
            print(f"FAILED: {path}: {type(error).__name__}: {error}")
            failed = True
    sys.exit(failed)


main()
