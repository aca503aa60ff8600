"""Makers of ESP images, tables and file systems, written from docs/esp-serial-protocol.md 7."""
import hashlib
import struct
import zlib

# name: image id, bootloader's place, an address in RAM, one where flash is mapped
CHIPS = {
    'esp32': (0, 0x1000, 0x3FFF0030, 0x3F400020),
    'esp32s2': (2, 0x1000, 0x3FFE6100, 0x3F000020),
    'esp32c3': (5, 0, 0x3FCD5820, 0x3C000020),
    'esp32s3': (9, 0, 0x3FCE2820, 0x3C000020),
    'esp32c6': (13, 0, 0x40875720, 0x42000020),
    'esp32p4': (18, 0x2000, 0x4FF29ED0, 0x40000020),
    'esp32c5': (23, 0x2000, 0x40875720, 0x42000020),
}


def noise(size, seed=1):
    out = bytearray()
    while len(out) < size:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % (1 << 64)
        out += struct.pack('>Q', seed)[:5]
    return bytes(out[:size])


def image(chip, segments, mode=2, size_freq=0x20, digest=True, revisions=(0, 0, 0xFFFF)):
    number = CHIPS[chip][0]
    out = struct.pack('<BBBBI', 0xE9, len(segments), mode, size_freq, segments[0][0])
    out += struct.pack('<B3xHBHH4xB', 0xEE, number, *revisions, digest)
    checksum = 0xEF
    for address, data in segments:
        out += struct.pack('<II', address, len(data)) + data
        for byte in data:
            checksum ^= byte
    out += bytes(15 - len(out) % 16) + bytes([checksum])
    return out + hashlib.sha256(out).digest() if digest else out


def bootloader(chip, size=3000, **more):
    return image(chip, [(CHIPS[chip][2], noise(size // 4 * 4, 7))], **more)


def program(chip, version='1.0', project='demo', size=6000, seed=3, **more):
    about = struct.pack('<IIQ32s32s16s16s32s', 0xABCD5432, 0, 0, version.encode(), project.encode(),
                        b'12:00:00', b'Jan  1 2026', b'v5.4').ljust(256, b'\0')
    flash, ram = CHIPS[chip][3], CHIPS[chip][2]
    return image(chip, [(flash, about + noise(size // 4 * 4, seed)), (ram, noise(512, 9))], **more)


def old_program(chip, **more):
    """Of an SDK that knew no descriptor."""
    return image(chip, [(CHIPS[chip][3], noise(6000, 4)), (CHIPS[chip][2], noise(64, 5))], **more)


def simple_boot(chip, behind=20000):
    """Zephyr and NuttX without a second bootloader: the header names the segments in RAM only."""
    return bootloader(chip, 2000) + struct.pack('<II', CHIPS[chip][3], behind) + noise(behind, 8)


def table(rows, md5=True):
    out = b''
    for name, kind, sub, offset, size in rows:
        out += struct.pack('<HBBII16sI', 0x50AA, kind, sub, offset, size, name.encode(), 0)
    if md5:
        out += b'\xeb\xeb' + b'\xff' * 14 + hashlib.md5(out).digest()
    return out.ljust(0xC00, b'\xff')


def record(sequence, state=0xFFFFFFFF, crc=None):
    number = struct.pack('<I', sequence)
    if crc is None:
        crc = zlib.crc32(number, 0xFFFFFFFF)
    return number + b'\xff' * 20 + struct.pack('<II', state, crc)


def otadata(first=None, second=None):
    first, second = first or b'', second or b''
    return first.ljust(0x1000, b'\xff') + second.ljust(0x1000, b'\xff')


def merged(parts, start=0, size=None):
    end = max(at + len(data) for at, data in parts) if size is None else size
    out = bytearray(b'\xff' * (end - start))
    for at, data in parts:
        out[at - start:at - start + len(data)] = data
    return bytes(out)


def to_sector(data):
    return data.ljust((len(data) + 4095) // 4096 * 4096, b'\xff')


def signed_v2(data, blocks=1, version=2, wrong=False):
    """version 4: ECDSA P-384, which writes a 3 and its own digest."""
    data = to_sector(data)
    digest = hashlib.sha256 if version < 4 else hashlib.sha384
    digest = digest(data + (b'x' if wrong else b'')).digest()
    out = b''
    for n in range(blocks):
        block = struct.pack('<BBH', 0xE7, min(version, 3), version > 3)
        block = block + digest + noise(1192 - len(digest), 20 + n)
        out += block + struct.pack('<I', zlib.crc32(block)) + bytes(16)
    return data + out.ljust(4096, b'\xff')


def signed_v1(data, padding=12):
    return data + bytes(padding) + bytes(4) + noise(64, 30)


def nvs(pages=3):
    """A page with no entries in use, and blank ones behind it."""
    head = struct.pack('<IB19x', 0, 0xFE).replace(b'\0' * 19, b'\xff' * 19)
    page = struct.pack('<I', 0xFFFFFFFE) + head + struct.pack('<I', zlib.crc32(head, 0xFFFFFFFF))
    return page.ljust(0x1000, b'\xff').ljust(pages * 0x1000, b'\xff')


def littlefs(size=0x4000):
    return (struct.pack('<II', 1, 0xF0FFFFF7) + b'littlefs').ljust(size, b'\xff')


def spiffs(size=0x4000):
    magic = 0x0529 ^ 0x0100 ^ (size // 0x1000)
    return (b'\xff' * 252 + struct.pack('<H', magic)).ljust(size, b'\xff')


def fat(size=0x4000):
    boot = b'\xeb\xfe\x90MSDOS5.0'.ljust(54, b'\0') + b'FAT16   '
    return (boot.ljust(510, b'\0') + b'\x55\xaa').ljust(size, b'\0')
