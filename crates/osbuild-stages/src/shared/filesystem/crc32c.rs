//! The checksum of ext4: CRC-32C, without the final inversion.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Slices of eight bytes are folded in at once, each by its own table.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                (value >> 1) ^ POLYNOMIAL
            } else {
                value >> 1
            };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = (before >> 8) ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

/// Carries a checksum on over more bytes; it begins as all ones.
pub(crate) fn crc32c(before: u32, bytes: &[u8]) -> u32 {
    let mut value = before;
    let mut slices = bytes.chunks_exact(8);
    for slice in &mut slices {
        let [a, b, c, d] = value.to_le_bytes();
        let first = [
            slice[0] ^ a,
            slice[1] ^ b,
            slice[2] ^ c,
            slice[3] ^ d,
            slice[4],
            slice[5],
            slice[6],
            slice[7],
        ];
        value = first
            .iter()
            .zip(TABLES.iter().rev())
            .fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
    }
    for byte in slices.remainder() {
        value = (value >> 8) ^ TABLES[0][usize::from(value as u8 ^ byte)];
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_values_are_met() {
        // RFC 3720, B.4.
        assert_eq!(!crc32c(!0, b"123456789"), 0xe306_9283);
        assert_eq!(!crc32c(!0, &[0; 32]), 0x8a91_36aa);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(!crc32c(!0, &ascending), 0x46dd_794e);
        assert_eq!(
            crc32c(crc32c(!0, &ascending[..13]), &ascending[13..]),
            crc32c(!0, &ascending)
        );
    }
}
