//! What a client of the PostgreSQL door may send, damaged in all ways.

use thalweg_core::env::Random;
use thalweg_testkit::mutate::{below, extreme, mutate, pick};

use super::wire::{message, query, startup};
use super::*;
use crate::fuzz::{counted, fuzz, talk};

const STATEMENTS: [&str; 10] = [
    "SELECT types",
    "SELECT numbers 3",
    "SELECT numbers $1",
    "SELECT echo $1",
    "SELECT user; SELECT types",
    "SELECT * FROM pg_catalog.pg_type WHERE oid = $1",
    "SET statement_timeout = '5s'",
    "BEGIN",
    "DECLARE c CURSOR FOR SELECT types; FETCH 1 FROM c",
    "it is wrong '",
];

#[test]
fn fuzz_pgwire() {
    fuzz("pgwire", "-p thalweg-serve --test it fuzz_pgwire", 400).run(conversation, target);
}

/// Bytes from a connection: no panic, and the next one is served.
fn target(sent: &[u8]) {
    counted(async || {
        let door = start(Arc::new(TestService::default()), Arc::new(AllowAll), PgLimits::default());
        let heard = talk(door.local_addr(), sent).await.len();
        let good = [startup(&[("user", "ada")]), query("SELECT user"), message(b'X', &[])].concat();
        let answer = talk(door.local_addr(), &good).await;
        assert!(answer.windows(3).any(|word| word == b"ada"), "the next client is not served");
        door.shutdown().await;
        sent.len() + heard
    });
}

fn conversation(random: &SeededRandom) -> Vec<u8> {
    let mut sent = startup(&[("user", "ada"), ("database", "main"), ("options", "-c a=b")]);
    match random.below(20) {
        0 => mutate(random, &mut sent, b"user\0\0"),
        1 => sent = [&[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f][..], &sent].concat(),
        2 => sent = [0, 0, 0, 16, 4, 0xd2, 0x16, 0x2e, 0, 0, 0, 1, 0, 0, 0, 1].to_vec(),
        _ => {}
    }
    for _ in 0..1 + below(random, 8) {
        let (kind, mut body) = one(random);
        if random.chance(300_000) {
            let donor = one(random).1;
            mutate(random, &mut body, &donor);
        }
        let mut whole = message(kind, &body);
        if random.chance(30_000) {
            let length = extreme(random, body.len() + 4) as i32;
            whole[1..5].copy_from_slice(&length.to_be_bytes());
        }
        sent.extend(whole);
    }
    if random.chance(50_000) {
        mutate(random, &mut sent, &query("SELECT user"));
    }
    sent
}

/// A message: its type and body.
fn one(random: &SeededRandom) -> (u8, Vec<u8>) {
    let name = *pick(random, &["", "", "a", "c"]);
    let sql = *pick(random, &STATEMENTS);
    let mut body = Vec::new();
    let mut put = |text: &str| {
        body.extend_from_slice(text.as_bytes());
        body.push(0);
    };
    match random.below(12) {
        0..2 => {
            put(sql);
            (b'Q', body)
        }
        2..5 => {
            put(name);
            put(sql);
            numbers(random, &mut body, 4, &[0, 16, 21, 23, 20, 25, 700, 701, 1082, 1114, 1700, 17]);
            (b'P', body)
        }
        5..8 => {
            put(name);
            put(name);
            bind(random, &mut body);
            (b'B', body)
        }
        8 => (*pick(random, b"DC"), [&[*pick(random, b"SP")], name.as_bytes(), &[0]].concat()),
        9..11 => {
            put(name);
            body.extend((extreme(random, 3) as i32).to_be_bytes());
            (b'E', body)
        }
        _ => (*pick(random, b"SSSHdcfFpX?"), body),
    }
}

fn bind(random: &SeededRandom, body: &mut Vec<u8>) {
    numbers(random, body, 2, &[0, 1, 1, 2]);
    let count = *pick(random, &[0, 1, 1, 1, 3]);
    body.extend([0, count]);
    for _ in 0..count {
        let length = *pick(random, &[0, 1, 2, 4, 8, 12, 20]);
        match random.below(8) {
            0 => body.extend([0xff; 4]),
            1..4 => {
                let text = *pick(random, &["7", "-1", "a", "1999-01-08", "NaN", "1e400", "\\xff"]);
                body.extend((text.len() as u32).to_be_bytes());
                body.extend(text.as_bytes());
            }
            _ => {
                body.extend((length as u32).to_be_bytes());
                body.extend(&extreme(random, length).to_be_bytes().repeat(3)[..length]);
            }
        }
    }
    numbers(random, body, 2, &[0, 1]);
}

/// A counted list of numbers of `width` bytes.
fn numbers(random: &SeededRandom, body: &mut Vec<u8>, width: usize, of: &[u32]) {
    let count = *pick(random, &[0, 1, 1, 2]);
    body.extend([0, count]);
    (0..count).for_each(|_| body.extend(&pick(random, of).to_be_bytes()[4 - width..]));
}
