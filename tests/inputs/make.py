#!/usr/bin/env python3
"""make.py FOLDER: writes the corpus, one folder a case; make.py --list: names the cases.

A case is a function: it puts files into its folder and returns what is expected, line by line:

    args WORDS         options of the station; @ stands for the case's folder
    starts NAME 0x…    good: this partition is started, whatever the board held before
    alone              good: the ROM starts it itself
    problem WORDS      refused, and a problem says this
    warning WORDS      a warning says this
    found WORDS        the report of what was found, or of what was left out, says this
    region 0x… SIZE    these bytes are flashed there
    keeps 0x…          this stretch is left alone on a board that holds a key
    same 0x… FILE      the board holds this file there, byte for byte
    remedy WORDS       with these options the same input is good; a message names them
    does WORDS         the same, and no message names them
    on-nothing         good, but no board is tried: it would need more than these images
"""
import json
import os
import sys

from images import *

HERE = '.'
CASES = {}


def case(function):
    CASES[function.__name__.replace('_', '-')] = function
    return function


def put(path, data):
    path = os.path.join(HERE, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as out:
        out.write(data.encode() if isinstance(data, str) else data)


TWO_SLOTS = [('nvs', 1, 2, 0x9000, 0x5000), ('otadata', 1, 0, 0xE000, 0x2000),
             ('app0', 0, 0x10, 0x10000, 0x140000), ('app1', 0, 0x11, 0x150000, 0x140000),
             ('spiffs', 1, 0x82, 0x290000, 0x160000), ('coredump', 1, 3, 0x3F0000, 0x10000)]
ONE = [('nvs', 1, 2, 0x9000, 0x6000), ('phy_init', 1, 1, 0xF000, 0x1000),
       ('factory', 0, 0, 0x10000, 0x100000)]
FACTORY_AND_SLOTS = [('nvs', 1, 2, 0x9000, 0x4000), ('otadata', 1, 0, 0xD000, 0x2000),
                     ('phy_init', 1, 1, 0xF000, 0x1000), ('factory', 0, 0, 0x10000, 0x100000),
                     ('ota_0', 0, 0x10, 0x110000, 0x100000), ('ota_1', 0, 0x11, 0x210000, 0x100000)]
M5STACK = [('nvs', 1, 2, 0x9000, 0x5000), ('otadata', 1, 0, 0xE000, 0x2000)] + [
    ('ota_%d' % n, 0, 0x10 + n, 0x10000 + n * 0xC0000, 0xC0000) for n in range(4)] + [
    ('firmware', 0, 0, 0x310000, 0xF0000)]
BOOT_APP0 = otadata(record(1))


def beside(folder='', chip='esp32', rows=TWO_SLOTS, firmware='firmware.bin', **more):
    put(folder + 'bootloader.bin', bootloader(chip))
    put(folder + 'partitions.bin', table(rows))
    put(folder + firmware, program(chip, **more))


def idf_args(files, chip='esp32', app=None, **more):
    root = {'write_flash_args': ['--flash_mode', 'dio'],
            'flash_settings': {'flash_mode': 'dio', 'flash_size': '4MB', 'flash_freq': '40m'},
            'flash_files': files,
            'extra_esptool_args': {'after': 'hard_reset', 'before': 'default_reset', 'stub': True,
                                   'chip': chip}}
    if app:
        root['app'] = {'offset': app, 'file': files[app], 'encrypted': 'false'}
    root.update(more)
    return json.dumps(root, indent=4)


def idf(folder='build/', chip='esp32', rows=ONE, otadata_file=None):
    boot = '0x%x' % CHIPS[chip][1]
    put(folder + 'bootloader/bootloader.bin', bootloader(chip))
    put(folder + 'partition_table/partition-table.bin', table(rows))
    put(folder + 'hello.bin', program(chip))
    files = {boot: 'bootloader/bootloader.bin', '0x10000': 'hello.bin',
             '0x8000': 'partition_table/partition-table.bin'}
    if otadata_file is not None:
        put(folder + 'ota_data_initial.bin', otadata_file)
        files['0x%x' % next(r[3] for r in rows if r[1:3] == (1, 0))] = 'ota_data_initial.bin'
    return files


# ---- PlatformIO, Arduino ----

@case
def pio_arduino():
    beside('.pio/build/esp32dev/')
    return ['args --firmware @', 'starts app0 0x10000', 'found keyline writes partition otadata']


@case
def pio_arduino_boot_app0():
    beside()
    put('boot_app0.bin', BOOT_APP0)
    return ['args --firmware @/firmware.bin', 'starts app0 0x10000', 'same 0xe000 boot_app0.bin']


@case
def pio_arduino_with_littlefs():
    beside()
    put('littlefs.bin', littlefs())
    return ['args --firmware @', 'starts app0 0x10000', 'found littlefs.bin: a LittleFS',
            'found --image 0x290000:', 'does --firmware @ --image 0x290000:@/littlefs.bin']


@case
def pio_espidf_stale_list():
    beside('.pio/build/esp32dev/', rows=ONE)
    put('.pio/build/esp32dev/flasher_args.json',
        idf_args({'0x1000': 'bootloader/bootloader.bin', '0x8000': 'partition_table/x.bin',
                  '0x10000': 'demo.bin'}))
    return ['args --firmware @/.pio/build/esp32dev', 'starts factory 0x10000',
            'found it names other files than those beside firmware.bin']


@case
def pio_espidf_old_files():
    beside(rows=ONE, version='2.0')
    put('demo.bin', program('esp32', version='0.9'))
    put('flasher_args.json', idf_args({'0x1000': 'bootloader.bin', '0x8000': 'partitions.bin',
                                       '0x10000': 'demo.bin'}))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x10000 firmware.bin']


@case
def pio_espidf_list_with_its_own_names():
    beside(rows=ONE)
    put('flasher_args.json', idf_args({'0x1000': 'bootloader/bootloader.bin', '0x8000':
                                       'partition_table/partition-table.bin',
                                       '0x10000': 'firmware.bin'}))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def pio_with_a_merged_image():
    beside()
    put('firmware.factory.bin', whole(rows=TWO_SLOTS))
    return ['args --firmware @', 'starts app0 0x10000', 'found firmware.factory.bin: a merged image',
            'does --firmware @/firmware.factory.bin']


@case
def littlefs_for_a_fat_partition():
    beside(rows=ONE + [('data', 1, 0x81, 0x110000, 0x10000)])
    put('data.bin', littlefs())
    return ['args --firmware @/firmware.bin --image 0x110000:@/data.bin',
            'warning is a LittleFS, but partition data (0x110000) is for FAT']


@case
def pio_espidf_table_elsewhere():
    rows = [('nvs', 1, 2, 0x11000, 0x4000), ('factory', 0, 0, 0x20000, 0x100000)]
    beside(rows=rows)
    put('flasher_args.json', idf_args({'0x10000': 'partition_table/x.bin', '0x20000': 'x.bin'},
                                      **{'partition-table': {'offset': '0x10000', 'file': 'x'}}))
    return ['args --firmware @', 'starts factory 0x20000', 'same 0x10000 partitions.bin']


def arduino(folder, chip='esp32', flash_args=False):
    put(folder + 'demo.ino.bootloader.bin', bootloader(chip))
    put(folder + 'demo.ino.partitions.bin', table(TWO_SLOTS))
    put(folder + 'demo.ino.bin', program(chip))
    if flash_args:
        put(folder + 'flash_args', '--flash-mode dio --flash-freq 80m --flash-size 4MB\n'
            '0x%x demo.ino.bootloader.bin\n0x8000 demo.ino.partitions.bin\n'
            '0xe000 boot_app0.bin\n0x10000 demo.ino.bin\n' % CHIPS[chip][1])


@case
def arduino_ide():
    arduino('')
    return ['args --firmware @/demo.ino.bin', 'starts app0 0x10000']


@case
def arduino_cli_sketch():
    arduino('demo/build/esp32.esp32.esp32c3/', 'esp32c3', True)
    return ['args --firmware @/demo', 'starts app0 0x10000', 'found boot_app0.bin is not beside']


@case
def arduino_cli_list():
    arduino('', flash_args=True)
    put('boot_app0.bin', BOOT_APP0)
    return ['args --firmware @/flash_args', 'starts app0 0x10000']


@case
def arduino_cli_merged():
    put('demo.ino.merged.bin', merged([(0x1000, bootloader('esp32')), (0x8000, table(TWO_SLOTS)),
                                       (0xE000, BOOT_APP0), (0x10000, program('esp32'))],
                                      size=0x400000))
    return ['args --firmware @/demo.ino.merged.bin', 'starts app0 0x10000', 'keeps 0x9000']


@case
def two_builds_in_a_folder():
    arduino('build/a/')
    arduino('build/b/')
    return ['args --firmware @', 'problem holds 2 builds', 'does --firmware @/build/b']


# ---- ESP-IDF ----

@case
def idf_build():
    put('build/flasher_args.json', idf_args(idf()))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x10000 build/hello.bin']


@case
def idf_every_place():
    put('build/flasher_args.json', idf_args(idf(chip='esp32c5'), chip='esp32c5'))
    return ['args --firmware @/build', 'starts factory 0x10000', 'region 0x2000 0']


@case
def idf_wrong_place():
    files = idf(chip='esp32c5')
    files['0x0'] = files.pop('0x2000')
    put('build/flasher_args.json', idf_args(files, chip='esp32c5'))
    return ['args --firmware @/build', 'problem the ESP32-C5 looks for it at 0x2000']


@case
def idf_flattened():
    files = idf('')
    for name in list(files.values()):
        os.rename(os.path.join(HERE, name), os.path.join(HERE, os.path.basename(name)))
    put('flasher_args.json', idf_args(files))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def idf_from_windows():
    files = {at: 'C:\\work\\hello\\build\\' + name.replace('/', '\\')
             for at, name in idf('').items()}
    put('flasher_args.json', b'\xef\xbb\xbf' + idf_args(files).encode())
    return ['args --firmware @/flasher_args.json', 'starts factory 0x10000']


@case
def idf_from_another_computer():
    files = {at: '/home/somebody/hello/build/' + name for at, name in idf('export/').items()}
    put('export/flasher_args.json', idf_args(files))
    return ['args --firmware @/export', 'starts factory 0x10000']


@case
def idf_file_missing():
    files = idf('build/')
    files['0x110000'] = 'storage.bin'
    put('build/flasher_args.json', idf_args(files))
    return ['args --firmware @', 'problem storage.bin: no such file']


@case
def idf_flat_from_windows():
    files = {at: 'C:\\work\\hello\\build\\' + os.path.basename(name) for at, name in
             idf('').items()}
    put('bootloader.bin', bootloader('esp32'))
    put('partition-table.bin', table(ONE))
    put('flasher_args.json', b'\xef\xbb\xbf' + idf_args(files).replace('\n', '\r\n').encode())
    return ['args --firmware @', 'starts factory 0x10000']


@case
def idf_backslashes():
    put('build/flasher_args.json', idf_args({at: name.replace('/', '\\')
                                             for at, name in idf().items()}))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def idf_flash_args_utf16():
    files = idf('')
    text = '--flash_mode dio --flash_freq 40m --flash_size 4MB\r\n'
    text += ''.join('%s %s\r\n' % pair for pair in files.items())
    put('flash_args', b'\xff\xfe' + text.encode('utf-16-le'))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def idf_flash_project_args():
    put('flash_project_args', '--flash_mode dio --flash_freq 40m --flash_size 2MB\n' + ''.join(
        '%s %s\n' % pair for pair in idf('').items()))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def idf_two_ota():
    put('build/flasher_args.json', idf_args(idf(rows=TWO_SLOTS, otadata_file=otadata())))
    return ['args --firmware @', 'starts app0 0x10000', 'same 0xe000 build/ota_data_initial.bin']


@case
def idf_two_ota_without_otadata():
    put('build/flasher_args.json', idf_args(idf(rows=TWO_SLOTS)))
    return ['args --firmware @', 'starts app0 0x10000', 'region 0xe000 0x2000']


@case
def idf_factory_and_slots():
    put('build/flasher_args.json', idf_args(idf(rows=FACTORY_AND_SLOTS, otadata_file=otadata()),
                                            app='0x10000'))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def idf_several_programs():
    files = idf(rows=FACTORY_AND_SLOTS, otadata_file=otadata())
    put('build/recovery.bin', program('esp32', project='recovery', seed=11))
    put('build/app2.bin', program('esp32', project='other', seed=12))
    files.update({'0x110000': 'recovery.bin', '0x210000': 'app2.bin'})
    put('build/flasher_args.json', idf_args(files, app='0x10000'))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x210000 build/app2.bin']


@case
def idf_list_says_another_program():
    files = idf(rows=FACTORY_AND_SLOTS, otadata_file=otadata())
    put('build/main.bin', program('esp32', project='main', seed=12))
    files['0x110000'] = 'main.bin'
    put('build/flasher_args.json', idf_args(files, app='0x110000'))
    return ['args --firmware @', 'problem the chip would start partition factory (0x10000), not the'
            ' program given for ota_0']


@case
def idf_app_only():
    idf('')
    put('flash_args', '--flash_mode dio\n0x10000 hello.bin\n')
    return ['args --firmware @/flash_args', 'problem no partition table is among the images',
            'does --image 0x1000:@/bootloader/bootloader.bin'
            ' --image 0x8000:@/partition_table/partition-table.bin --image 0x10000:@/hello.bin']


@case
def idf_encrypted_entries():
    files = idf()
    put('build/flasher_args.json', idf_args(files, bootloader={
        'offset': '0x1000', 'file': files['0x1000'], 'encrypted': 'true'}))
    return ['args --firmware @', 'starts factory 0x10000', 'warning this build encrypts the flash']


def many(count):
    rows = ONE[:3] + [('d%d' % n, 1, 0x40, 0x110000 + n * 0x2000, 0x2000) for n in range(62)]
    files = idf(rows=rows)
    for n in range(count - 3):
        put('build/d%d.bin' % n, noise(100 + n, n))
        files['0x%x' % (0x110000 + n * 0x2000)] = 'd%d.bin' % n
    put('build/flasher_args.json', idf_args(files))


@case
def idf_64_images():
    many(64)
    return ['args --firmware @', 'starts factory 0x10000',
            'same 0x%x build/d60.bin' % (0x110000 + 60 * 0x2000)]


@case
def idf_65_images():
    many(65)
    return ['args --firmware @', 'problem names 65 images; keyline takes 64 at most']


@case
def idf_keep():
    files = idf()
    put('build/bootloader/bootloader.bin', bootloader('esp32', mode=0, size_freq=0x2F))
    put('build/flasher_args.json', idf_args(files, flash_settings={
        'flash_mode': 'keep', 'flash_size': 'keep', 'flash_freq': 'keep'}))
    return ['args --firmware @', 'starts factory 0x10000',
            'same 0x1000 build/bootloader/bootloader.bin']


# ---- which program starts ----

@case
def factory_behind_the_slots():
    beside(rows=M5STACK)
    return ['args --firmware @', 'starts ota_0 0x10000']


@case
def factory_behind_the_slots_boot_app0():
    beside(rows=M5STACK)
    put('boot_app0.bin', BOOT_APP0)
    return ['args --firmware @', 'starts ota_0 0x10000', 'found which the choice beside it starts']


@case
def factory_too_small():
    rows = [('nvs', 1, 2, 0x9000, 0x5000), ('otadata', 1, 0, 0xE000, 0x2000),
            ('safeboot', 0, 0, 0x10000, 0x10000), ('app0', 0, 0x10, 0x20000, 0x100000)]
    beside(rows=rows, size=100000)
    return ['args --firmware @', 'starts app0 0x20000']


@case
def factory_first():
    beside(rows=FACTORY_AND_SLOTS)
    return ['args --firmware @', 'starts factory 0x10000']


@case
def choice_of_the_second_slot():
    beside()
    put('second.bin', otadata(record(1), record(2)))
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0xe000:@/second.bin --image 0x10000:@/firmware.bin',
            'problem second.bin makes the chip start partition app1 (0x150000)',
            'does --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x10000:@/firmware.bin',
            'does --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0xe000:@/second.bin --image 0x150000:@/firmware.bin']


@case
def choice_by_the_higher_number():
    beside()
    put('boot_app0.bin', otadata(record(7), record(6)))
    return ['args --firmware @', 'starts app0 0x10000']


@case
def choice_of_the_second_slot_beside():
    beside()
    put('boot_app0.bin', otadata(record(1), record(2)))
    return ['args --firmware @', 'starts app1 0x150000']


@case
def choice_with_a_wrong_sum():
    beside(rows=FACTORY_AND_SLOTS)
    put('ota_data_initial.bin', otadata(record(1, crc=5)))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def choice_given_up():
    beside()
    put('ota_data_initial.bin', otadata(record(1), record(2, state=4)))
    return ['args --firmware @', 'starts app0 0x10000']


@case
def choice_to_be_confirmed():
    beside()
    put('ota_data_initial.bin', otadata(record(2, state=1)))
    return ['args --firmware @', 'problem waits to be confirmed']


@case
def choice_without_a_partition():
    beside(rows=ONE)
    put('boot_app0.bin', BOOT_APP0)
    return ['args --firmware @', 'starts factory 0x10000',
            'found the partition table has no otadata partition']


@case
def choice_at_another_layouts_place():
    beside(rows=FACTORY_AND_SLOTS)
    put('boot_app0.bin', BOOT_APP0)
    put('rest.bin', program('esp32'))
    images = ' --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin' \
             ' --image 0x110000:@/firmware.bin'
    return ['args' + images + ' --image 0xe000:@/boot_app0.bin',
            'problem chooses the program to start, but lies at 0xe000: partition otadata is at',
            'remedy --image 0xd000:@/boot_app0.bin &' + images, 'does' + images]


@case
def choice_in_a_list_without_a_partition():
    rows = [('nvs', 1, 2, 0x9000, 0x6000), ('app0', 0, 0x10, 0x10000, 0x100000)]
    put('bootloader.bin', bootloader('esp32'))
    put('partitions.bin', table(rows))
    put('boot_app0.bin', BOOT_APP0)
    put('demo.bin', program('esp32'))
    put('flash_args', '--flash-mode dio\n0x1000 bootloader.bin\n0x8000 partitions.bin\n'
        '0xe000 boot_app0.bin\n0x10000 demo.bin\n')
    return ['args --firmware @', 'starts app0 0x10000',
            'found the partition table has no otadata partition']


@case
def second_program_in_factory():
    rows = [('nvs', 1, 2, 0x9000, 0x5000), ('otadata', 1, 0, 0xE000, 0x2000),
            ('ota_0', 0, 0x10, 0x10000, 0x160000), ('ota_1', 0, 0x11, 0x170000, 0x160000),
            ('uf2', 0, 0, 0x2D0000, 0x40000)]
    put('bootloader.bin', bootloader('esp32s2'))
    put('partitions.bin', table(rows))
    put('tinyuf2.bin', program('esp32s2', project='TinyUF2', seed=9))
    put('demo.ino.bin', program('esp32s2'))
    put('flash_args', '--flash-mode dio\n0x1000 bootloader.bin\n0x8000 partitions.bin\n'
        '0xe000 boot_app0.bin\n0x10000 demo.ino.bin\n0x2d0000 tinyuf2.bin\n')
    return ['args --firmware @', 'starts ota_0 0x10000', 'same 0x2d0000 tinyuf2.bin']


@case
def slots_without_otadata():
    rows = [('nvs', 1, 2, 0x9000, 0x6000), ('a', 0, 0x10, 0x10000, 0x100000),
            ('b', 0, 0x11, 0x110000, 0x100000)]
    beside(rows=rows)
    image_args = 'args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin --image '
    return [image_args + '0x110000:@/firmware.bin',
            'problem the chip would start partition a (0x10000)',
            'remedy --image 0x10000:@/firmware.bin & --image 0x1000:@/bootloader.bin'
            ' --image 0x8000:@/partitions.bin']


@case
def second_slot_by_name():
    beside()
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x150000:@/firmware.bin', 'starts app1 0x150000']


@case
def test_program_only():
    rows = ONE[:2] + [('factory', 0, 0, 0x10000, 0x100000), ('test', 0, 0x20, 0x110000, 0x80000)]
    beside(rows=rows)
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x110000:@/firmware.bin', 'problem the chip would start partition factory']


@case
def two_factory_partitions():
    beside(rows=ONE + [('factory2', 0, 0, 0x110000, 0x100000)])
    return ['args --firmware @', 'problem two partitions of one kind, factory and factory2']


@case
def otadata_too_small():
    beside(rows=[('nvs', 1, 2, 0x9000, 0x5000), ('otadata', 1, 0, 0xE000, 0x1000)] + TWO_SLOTS[2:])
    return ['args --firmware @', 'problem the bootloader needs 0x2000 there']


@case
def bootloader_and_table_only():
    beside()
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin',
            'warning no program is among the images']


# ---- signatures, encryption ----

def signed(boot, app, **settings):
    put('bootloader.bin', boot)
    put('partition-table.bin', table(ONE))
    put('app.bin', app)
    put('flasher_args.json', idf_args({'0x1000': 'bootloader.bin', '0x8000': 'partition-table.bin',
                                       '0x10000': 'app.bin'}, flash_settings=settings))


@case
def signed_v2_bootloader():
    signed(signed_v2(bootloader('esp32', size_freq=0x2F), blocks=3), program('esp32'),
           flash_size='detect')
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x1000 bootloader.bin',
            'found bootloader.bin is signed']


@case
def signed_v2_ecdsa():
    signed(signed_v2(bootloader('esp32'), version=3), signed_v2(program('esp32'), version=3))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x1000 bootloader.bin',
            'same 0x10000 app.bin']


@case
def signed_v2_ecdsa_384():
    signed(signed_v2(bootloader('esp32'), version=4), signed_v2(program('esp32'), version=4))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x1000 bootloader.bin',
            'same 0x10000 app.bin', 'found bootloader.bin is signed']


@case
def signed_v2_ecdsa_384_then_patched():
    signed(signed_v2(bootloader('esp32'), version=4, wrong=True), program('esp32'))
    return ['args --firmware @', 'problem bootloader.bin was changed after it was signed']


@case
def signed_v2_then_patched():
    signed(signed_v2(bootloader('esp32'), wrong=True), program('esp32'))
    return ['args --firmware @', 'problem bootloader.bin was changed after it was signed']


@case
def signed_v2_program_then_patched():
    signed(bootloader('esp32'), signed_v2(program('esp32'), wrong=True))
    return ['args --firmware @', 'problem app.bin was changed after it was signed']


@case
def signed_v2_cut_short():
    signed(signed_v2(bootloader('esp32'))[:-3000], program('esp32'))
    return ['args --firmware @', 'problem it ends within its signature']


@case
def signed_and_another_mode():
    signed(signed_v2(bootloader('esp32')), program('esp32'))
    return ['args --firmware @ --flash-mode qio', 'problem is signed: its header can\'t be changed',
            'does --firmware @']


@case
def signed_for_too_little_flash():
    signed(signed_v2(bootloader('esp32', size_freq=0x00)), program('esp32'))
    return ['args --firmware @', 'problem says that the flash has 1024 KB']


@case
def signed_v1_program():
    signed(bootloader('esp32'), signed_v1(program('esp32')))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x10000 app.bin']


@case
def signed_v1_bootloader():
    digest = noise(192, 40).ljust(0x1000, b'\xff')
    put('bootloader-reflash-digest.bin', digest + bootloader('esp32'))
    put('table.bin', table(ONE))
    put('app.bin', program('esp32'))
    return ['args --image 0x0:@/bootloader-reflash-digest.bin --image 0x8000:@/table.bin'
            ' --image 0x10000:@/app.bin', 'starts factory 0x10000',
            'same 0x0 bootloader-reflash-digest.bin']


@case
def signed_v1_bootloader_at_its_old_place():
    beside(rows=ONE)
    digest = noise(192, 40).ljust(0x1000, b'\xff')
    put('digested.bin', digest + bootloader('esp32'))
    rest = ' --image 0x8000:@/partitions.bin --image 0x10000:@/firmware.bin'
    return ['args --image 0x1000:@/digested.bin' + rest,
            'problem begins with a digest for Secure Boot V1',
            'remedy --image 0x0:@/digested.bin &' + rest]


@case
def data_in_the_bootloaders_place():
    beside(rows=ONE)
    put('data.bin', noise(3000))
    rest = ' --image 0x8000:@/partitions.bin --image 0x10000:@/firmware.bin'
    return ['args --image 0x1000:@/data.bin' + rest, 'problem lies in the bootloader\'s place',
            'does --image 0x1000:@/bootloader.bin' + rest]


@case
def no_bootloader():
    beside(rows=ONE)
    return ['args --image 0x8000:@/partitions.bin --image 0x10000:@/firmware.bin',
            'warning no bootloader is among the images', 'on-nothing']


@case
def encrypted_bootloader():
    beside()
    put('bootloader.bin', noise(16384, 50))
    return ['args --firmware @', 'problem looks encrypted']


@case
def encrypted_program():
    beside()
    put('enc.bin', noise(16384, 50))
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x10000:@/enc.bin', 'problem looks encrypted']


@case
def something_behind_the_program():
    beside(rows=ONE)
    put('firmware.bin', program('esp32') + b'who put this here?')
    return ['args --firmware @', 'warning 18 bytes stand behind the program\'s end',
            'starts factory 0x10000']


@case
def something_behind_the_bootloader():
    beside(rows=M5STACK)
    put('bootloader.bin', bootloader('esp32') + noise(3000, 60))
    put('boot_app0.bin', BOOT_APP0)
    return ['args --firmware @', 'starts ota_0 0x10000',
            'warning 3000 bytes stand behind the bootloader\'s end']


@case
def table_as_text():
    beside()
    put('partitions.bin', 'nvs,data,nvs,0x9000,0x5000\n')
    return ['args --firmware @', 'problem is no partition table but text']


@case
def program_at_another_layouts_place():
    rows = [('nvs', 1, 2, 0x9000, 0x6000), ('factory', 0, 0, 0x20000, 0x100000)]
    beside(rows=rows)
    rest = ' --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
    return ['args' + rest + ' --image 0x10000:@/firmware.bin',
            'problem is in no app partition', 'remedy --image 0x20000:@/firmware.bin &' + rest]


@case
def padding_behind_the_program():
    beside(rows=ONE)
    put('firmware.bin', program('esp32').ljust(0x10000, b'\xff'))
    return ['args --firmware @', 'starts factory 0x10000']


# ---- what is what ----

@case
def bootloader_as_firmware():
    beside()
    return ['args --firmware @/bootloader.bin', 'problem is a bootloader, not a program',
            'remedy --firmware @/firmware.bin']


@case
def table_as_firmware():
    beside()
    return ['args --firmware @/partitions.bin', 'problem is a partition table, not a program',
            'remedy --firmware @/firmware.bin']


@case
def elf_as_firmware():
    beside()
    put('firmware.elf', b'\x7fELF' + noise(400))
    return ['args --firmware @/firmware.elf', 'problem is an ELF file, not a program',
            'remedy --firmware @/firmware.bin']


@case
def uf2_as_firmware():
    put('firmware.uf2', b'UF2\nWQ]\x9e' + noise(504))
    return ['args --firmware @/firmware.uf2', 'problem is a UF2 file, not a program']


@case
def blank_as_firmware():
    beside()
    put('firmware.bin', b'\xff' * 5000)
    return ['args --firmware @/firmware.bin', 'problem is no ESP image']


def whole(chip='esp32', rows=ONE, start=None, **more):
    start = 0 if start is None else start
    parts = [(CHIPS[chip][1], bootloader(chip)), (0x8000, table(rows))]
    parts += [(r[3], program(chip)) for r in rows if r[1:3] in ((0, 0), (0, 0x10))][:1]
    return merged(parts, start=start, **more)


@case
def merged_at_the_programs_place():
    put('all.bin', whole())
    return ['args --image 0x10000:@/all.bin', 'problem does not belong at 0x10000, but at 0x0',
            'remedy --image 0x0:@/all.bin', 'remedy --firmware @/all.bin']


@case
def merged_at_the_programs_place_c3():
    put('all.bin', whole('esp32c3'))
    return ['args --image 0x10000:@/all.bin', 'problem does not belong at 0x10000, but at 0x0',
            'remedy --image 0x0:@/all.bin']


@case
def merged_with_the_table_elsewhere():
    rows = [('nvs', 1, 2, 0xE000, 0x4000), ('otadata', 1, 0, 0x12000, 0x2000),
            ('ota_0', 0, 0x10, 0x20000, 0x200000)]
    put('all.bin', merged([(0, bootloader('esp32s3', 0xC800)), (0xD000, table(rows)),
                           (0x12000, otadata()), (0x20000, program('esp32s3'))]))
    return ['args --firmware @/all.bin', 'starts ota_0 0x20000', 'keeps 0xe000']


@case
def merged_that_starts_another_slot():
    put('all.bin', merged([(0x1000, bootloader('esp32')), (0x8000, table(TWO_SLOTS)),
                           (0xE000, otadata(record(2))), (0x10000, program('esp32'))]))
    return ['args --firmware @/all.bin', 'problem would make the chip start partition app1 (0x150000), where it holds no']


@case
def merged_without_otadata_bytes():
    rows = [('nvs', 1, 2, 0x9000, 0x5000), ('app0', 0, 0x10, 0x10000, 0x100000),
            ('app1', 0, 0x11, 0x110000, 0x100000), ('otadata', 1, 0, 0x210000, 0x2000)]
    put('all.bin', whole(rows=rows))
    return ['args --firmware @/all.bin', 'starts app0 0x10000', 'region 0x210000 0x2000']


@case
def merged_without_a_program():
    put('all.bin', merged([(0x1000, bootloader('esp32')), (0x8000, table(ONE))]))
    return ['args --firmware @/all.bin', 'warning holds no program', 'on-nothing']


@case
def merged_damaged():
    data = bytearray(whole())
    data[0x10100] ^= 1
    put('all.bin', bytes(data))
    return ['args --firmware @/all.bin', 'problem its program at 0x10000 is damaged']


@case
def program_in_the_bootloaders_place():
    beside(rows=ONE)
    return ['args --image 0x1000:@/firmware.bin --image 0x8000:@/partitions.bin',
            'problem is a program, not a bootloader',
            'remedy --image 0x10000:@/firmware.bin & --image 0x1000:@/bootloader.bin'
            ' --image 0x8000:@/partitions.bin']


@case
def program_at_0_for_another_chip():
    beside(rows=ONE)
    put('s3.bin', program('esp32s3'))
    return ['args --chip esp32 --image 0x0:@/s3.bin', 'problem is for ESP32-S3',
            'problem is a program, not a bootloader']


@case
def file_systems():
    rows = ONE + [('lfs', 1, 0x83, 0x110000, 0x10000), ('spiffs', 1, 0x82, 0x120000, 0x10000),
                  ('fat', 1, 0x81, 0x130000, 0x10000)]
    beside(rows=rows)
    put('lfs.img', littlefs())
    put('spiffs.img', spiffs())
    put('fat.img', fat())
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x10000:@/firmware.bin --image 0x110000:@/lfs.img'
            ' --image 0x120000:@/spiffs.img --image 0x130000:@/fat.img', 'starts factory 0x10000',
            'same 0x130000 fat.img']


@case
def image_as_data():
    rows = ONE + [('slave', 1, 0x40, 0x110000, 0x10000)]
    beside(rows=rows)
    put('slave.bin', program('esp32c6'))
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x10000:@/firmware.bin --image 0x110000:@/slave.bin',
            'starts factory 0x10000', 'same 0x110000 slave.bin']


# ---- NVS and odd places ----

FCTRY = ONE + [('fctry', 1, 2, 0x110000, 0x6000)]
BASE = '--image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin' \
       ' --image 0x10000:@/firmware.bin'


@case
def second_nvs():
    beside(rows=FCTRY)
    put('fctry.bin', nvs(3))
    return ['args ' + BASE + ' --image 0x110000:@/fctry.bin', 'starts factory 0x10000',
            'keeps 0x110000', 'region 0x110000 0x6000']


@case
def first_nvs():
    beside(rows=ONE)
    put('nvs.bin', nvs(3))
    return ['args ' + BASE + ' --image 0x9000:@/nvs.bin', 'starts factory 0x10000', 'keeps 0x9000']


@case
def nvs_in_the_middle():
    beside(rows=ONE)
    put('nvs.bin', nvs(3))
    return ['args ' + BASE + ' --image 0xa000:@/nvs.bin',
            'problem an image of the NVS has to begin where that begins',
            'remedy --image 0x9000:@/nvs.bin & ' + BASE]


@case
def data_over_the_nvs():
    beside(rows=ONE)
    put('data.bin', noise(3000))
    return ['args ' + BASE + ' --image 0x9000:@/data.bin',
            'problem it is no image of an NVS but data; leave it out', 'does ' + BASE]


@case
def data_over_the_nvs_erased_first():
    beside(rows=ONE)
    put('data.bin', noise(3000))
    return ['args ' + BASE + ' --erase --image 0x9000:@/data.bin',
            'problem it is no image of an NVS']


@case
def merged_over_the_nvs_erased_first():
    put('all.bin', whole())
    return ['args --erase --firmware @/all.bin', 'starts factory 0x10000']


ODD = ONE + [('serial', 1, 0x40, 0x110000, 0x400), ('cal', 1, 0x41, 0x110400, 0xC00)]


@case
def data_at_an_odd_place():
    beside(rows=ODD)
    put('serial.bin', noise(100))
    put('cal.bin', noise(0x300, 2))
    return ['args ' + BASE + ' --image 0x110000:@/serial.bin --image 0x110400:@/cal.bin',
            'starts factory 0x10000', 'same 0x110400 cal.bin', 'same 0x110000 serial.bin']


@case
def data_at_an_odd_place_alone():
    beside(rows=ODD)
    put('serial.bin', noise(100))
    put('cal.bin', noise(0x300, 2))
    return ['args ' + BASE + ' --image 0x110400:@/cal.bin',
            'problem shares a sector of the flash with partition serial (0x110000)',
            'does ' + BASE + ' --image 0x110000:@/serial.bin --image 0x110400:@/cal.bin']


@case
def data_within_a_partition():
    beside(rows=ONE + [('data', 1, 0x40, 0x110000, 0x10000)])
    put('data.bin', noise(100))
    return ['args ' + BASE + ' --image 0x110100:@/data.bin', 'problem is not a multiple of 0x1000']


# ---- other makers ----

@case
def esphome():
    beside('.esphome/build/lamp/.pioenvs/lamp/', rows=[
        ('otadata', 1, 0, 0x9000, 0x2000), ('phy_init', 1, 1, 0xB000, 0x1000),
        ('app0', 0, 0x10, 0x10000, 0x1C0000), ('app1', 0, 0x11, 0x1D0000, 0x1C0000),
        ('nvs', 1, 2, 0x390000, 0x6D000)])
    put('.esphome/build/lamp/.pioenvs/lamp/ota_data_initial.bin', otadata())
    put('.esphome/build/lamp/.pioenvs/lamp/firmware.factory.bin', b'unused')
    return ['args --firmware @', 'starts app0 0x10000']


@case
def esphome_factory():
    rows = [('otadata', 1, 0, 0x9000, 0x2000), ('phy_init', 1, 1, 0xB000, 0x1000),
            ('app0', 0, 0x10, 0x10000, 0x1C0000), ('app1', 0, 0x11, 0x1D0000, 0x1C0000),
            ('nvs', 1, 2, 0x390000, 0x6D000)]
    put('lamp.factory.bin', merged([(0, bootloader('esp32c3')), (0x8000, table(rows)),
                                    (0x9000, otadata()), (0x10000, program('esp32c3'))]))
    return ['args --firmware @', 'starts app0 0x10000']


@case
def tasmota_factory():
    rows = [('nvs', 1, 2, 0x9000, 0x5000), ('otadata', 1, 0, 0xE000, 0x2000),
            ('safeboot', 0, 0, 0x10000, 0xD0000), ('app0', 0, 0x10, 0xE0000, 0x1D0000),
            ('spiffs', 1, 0x82, 0x2B0000, 0x150000)]
    put('tasmota32.factory.bin', merged([
        (0x1000, bootloader('esp32')), (0x8000, table(rows)), (0xE000, BOOT_APP0),
        (0x10000, program('esp32', project='safeboot', seed=5)), (0xE0000, program('esp32'))]))
    return ['args --firmware @/tasmota32.factory.bin', 'starts app0 0xe0000', 'keeps 0x9000']


ESP_AT = [('phy_init', 1, 1, 0xF000, 0x1000), ('otadata', 1, 0, 0x10000, 0x2000),
          ('nvs', 1, 2, 0x12000, 0xE000), ('at_customize', 0x40, 0, 0x20000, 0xE0000),
          ('ota_0', 0, 0x10, 0x100000, 0x180000), ('ota_1', 0, 0x11, 0x280000, 0x180000)]
AT_TABLE = [('mfg_nvs', 1, 2, 0x21000, 0x1B000), ('fatfs', 1, 0x81, 0x47000, 0x70000)]


@case
def esp_at():
    files = [(0x8000, 'partition_table/partition-table.bin', table(ESP_AT)),
             (0x10000, 'ota_data_initial.bin', otadata()),
             (0xF000, 'phy_init_data.bin', noise(400)),
             (0x0, 'bootloader/bootloader.bin', bootloader('esp32c3')),
             (0x100000, 'esp-at.bin', program('esp32c3', project='esp-at')),
             (0x20000, 'at_customize.bin', table(AT_TABLE)),
             (0x21000, 'customized_partitions/mfg_nvs.bin', nvs(4))]
    line = '--flash_mode dio --flash_freq 40m --flash_size 4MB'
    for at, name, data in files:
        put('build/' + name, data)
        line += ' 0x%x %s' % (at, name)
    put('build/download.config', line)
    return ['args --firmware @', 'starts ota_0 0x100000', 'same 0x20000 build/at_customize.bin',
            'same 0x21000 build/customized_partitions/mfg_nvs.bin']


@case
def esp_at_factory():
    put('factory_ESP32C3-4MB.bin', merged([
        (0, bootloader('esp32c3')), (0x8000, table(ESP_AT)), (0x10000, otadata()),
        (0x20000, table(AT_TABLE)), (0x21000, nvs(4)), (0x100000, program('esp32c3'))],
        size=0x400000))
    return ['args --firmware @/factory_ESP32C3-4MB.bin', 'starts ota_0 0x100000', 'keeps 0x12000']


@case
def micropython():
    rows = ONE + [('vfs', 1, 0x81, 0x200000, 0x200000)]
    put('ESP32_GENERIC.bin', whole(rows=rows, start=0x1000))
    return ['args --firmware @/ESP32_GENERIC.bin', 'starts factory 0x10000', 'keeps 0x9000']


@case
def micropython_at_0():
    rows = ONE + [('vfs', 1, 0x81, 0x200000, 0x200000)]
    put('ESP32_GENERIC.bin', whole(rows=rows, start=0x1000))
    return ['args --image 0x0:@/ESP32_GENERIC.bin', 'problem does not belong at 0x0, but at 0x1000',
            'remedy --image 0x1000:@/ESP32_GENERIC.bin']


@case
def micropython_p4():
    put('ESP32_GENERIC_P4.bin', whole('esp32p4', start=0x2000))
    return ['args --firmware @', 'starts factory 0x10000']


@case
def zephyr():
    put('build/zephyr/zephyr.bin', simple_boot('esp32s3'))
    put('build/zephyr/zephyr.elf', b'\x7fELF')
    return ['args --firmware @', 'alone']


@case
def zephyr_mcuboot():
    put('mcuboot.bin', bootloader('esp32c3', 20000))
    put('zephyr.signed.bin', b'\x3d\xb8\xf3\x96' + noise(9000))
    return ['args --firmware @/zephyr.signed.bin', 'problem is a program for MCUboot',
            'does --image 0x0:@/mcuboot.bin --image 0x20000:@/zephyr.signed.bin']


def runners(address):
    return 'config:\n  board_dir: x\nargs:\n  esp32:\n    - --esp-app-address=%s\n' \
           '    - --esp-flash-size=4MB\n' % address


@case
def zephyr_sysbuild():
    put('build/mcuboot/zephyr/zephyr.bin', bootloader('esp32c3', 20000))
    put('build/mcuboot/zephyr/runners.yaml', runners('0x0'))
    put('build/hello/zephyr/zephyr.bin', b'not this one')
    put('build/hello/zephyr/zephyr.signed.bin', b'\x3d\xb8\xf3\x96' + noise(9000))
    put('build/hello/zephyr/runners.yaml', runners('0x20000'))
    return ['args --firmware @', 'same 0x20000 build/hello/zephyr/zephyr.signed.bin',
            'same 0x0 build/mcuboot/zephyr/zephyr.bin']


@case
def zephyr_with_runners():
    put('build/zephyr/zephyr.bin', simple_boot('esp32'))
    put('build/zephyr/runners.yaml', runners('0x1000'))
    return ['args --firmware @/build', 'alone', 'same 0x1000 build/zephyr/zephyr.bin']


@case
def nuttx_with_downloaded_files():
    put('nuttx.bin', old_program('esp32s2'))
    put('bootloader-esp32s2.bin', bootloader('esp32s2'))
    put('partition-table-esp32s2.bin', table(ONE))
    return ['args --firmware @', 'starts factory 0x10000', 'same 0x10000 nuttx.bin']


@case
def nuttx():
    put('nuttx.bin', simple_boot('esp32'))
    return ['args --firmware @/nuttx.bin', 'alone', 'same 0x1000 nuttx.bin']


@case
def nuttx_with_a_bootloader():
    beside(rows=ONE, firmware='nuttx.bin')
    put('nuttx.bin', old_program('esp32'))
    return ['args --image 0x1000:@/bootloader.bin --image 0x8000:@/partitions.bin'
            ' --image 0x10000:@/nuttx.bin', 'starts factory 0x10000']


@case
def rust_program():
    put('app.bin', program('esp32c6', project='rusty'))
    return ['args --firmware @/app.bin', 'problem there is no bootloader.bin beside it']


@case
def rust_merged():
    rows = ONE[:2] + [('factory', 0, 0, 0x10000, 0x3F0000)]
    put('app.bin', whole('esp32c6', rows=rows, size=0x400000))
    return ['args --firmware @/app.bin', 'starts factory 0x10000', 'keeps 0x9000']


def main():
    global HERE
    if sys.argv[1] == '--list':
        print('\n'.join(CASES))
        return
    for name, function in CASES.items():
        HERE = os.path.join(sys.argv[1], name)
        os.makedirs(HERE, exist_ok=True)
        put('expect', '\n'.join(function()) + '\n')


main()
