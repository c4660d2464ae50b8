//! Messages as servers send them, and bytes as nobody should.

use super::*;

fn question(name: &str, record: RecordType) -> Question {
    Question::new(name, record).unwrap()
}

/// An answer with this head and these bytes behind the question.
fn message(question: &Question, flags: u16, answers: u16, rest: &[u8]) -> Vec<u8> {
    let mut message = question.message(7);
    message[2..4].copy_from_slice(&(IS_RESPONSE | flags).to_be_bytes());
    message[6..8].copy_from_slice(&answers.to_be_bytes());
    message.extend(rest);
    message
}

/// A record of the name that was asked for, by a pointer to it.
fn record(kind: u16, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap();
    let words = [0xc00c, kind, IN, 0, 60, length];
    [&words.map(u16::to_be_bytes).concat(), content].concat()
}

fn answers(record_type: RecordType, rest: &[u8], count: u16) -> Result<Vec<String>, NoReply> {
    let question = question("gpu-1.site", record_type);
    question.reply(7, &message(&question, 0, count, rest)).map(|reply| reply.answers)
}

#[test]
fn a_question_is_written_as_the_standard_says() {
    let asked = question("GPU-1.site.", RecordType::Aaaa).message(0x1234);
    let expected = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05gpu-1\x04site\x00\x00\x1c\x00\x01";
    assert_eq!(asked, expected);
    for bad in ["", ".", "a..b", &"a".repeat(64), &["a"; 128].join("."), &vec!["a".repeat(60); 5].join(".")] {
        assert_eq!(Question::new(bad, RecordType::A), None, "{bad}");
    }
    assert!(Question::new(&["a"; 127].join("."), RecordType::A).is_some());
}

#[test]
fn every_type_has_its_text() {
    // `www` and then the name that was asked for; and a name written out.
    let (pointing, whole) = (b"\x03WWW\xc0\x0c", b"\x01a\x01.\x00");
    for (kind, content, expected) in [
        (RecordType::A, &[10, 0, 0, 1][..], "10.0.0.1"),
        (RecordType::Aaaa, &[0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], "fd00::1"),
        (RecordType::Cname, pointing, "www.gpu-1.site"),
        (RecordType::Ns, pointing, "www.gpu-1.site"),
        (RecordType::Ptr, whole, "a.\\046"),
        (RecordType::Txt, b"\x03v=1\x00\x02 \xff", "v=1 \u{fffd}"),
        (RecordType::Srv, b"\x00\x01\x00\x02\x13\xc4\x03sip\xc0\x12", "1 2 5060 sip.site"),
    ] {
        let rest = record(kind.number(), content);
        assert_eq!(answers(kind, &rest, 1), Ok(vec![expected.to_owned()]), "{kind:?}");
    }
}

#[test]
fn records_of_other_types_are_passed_over() {
    let rest = [record(5, b"\x01a\xc0\x0c"), record(1, &[10, 0, 0, 1]), record(999, b"?"), record(1, &[10, 0, 0, 2])];
    assert_eq!(answers(RecordType::A, &rest.concat(), 4), Ok(vec!["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]));
}

#[test]
fn broken_records_are_broken() {
    for (rest, what) in [
        (record(1, &[10, 0, 0]), "an address of three bytes"),
        (record(5, b"\xc0\x0c\x00")[..14].to_vec(), "cut off"),
        (Vec::new(), "nothing there"),
        (record(5, b"\xc0\x2a"), "a pointer to itself"),
        (record(5, b"\xc0\x2c\xc0\x2a"), "a pointer ahead"),
        (record(5, b"\xff\xff"), "a pointer beyond"),
        (record(5, b"\x01a"), "a name without end"),
        (record(5, b"\x40a\x00"), "a label of a kind that there is not"),
        (record(16, b"\x05abc"), "a text longer than its record"),
    ] {
        let kind = if rest.get(3) == Some(&16) { RecordType::Txt } else { RecordType::Cname };
        let kind = if rest.get(3) == Some(&1) { RecordType::A } else { kind };
        assert_eq!(answers(kind, &rest, 1), Err(NoReply::Broken), "{what}");
    }
    // A name that says itself again through pointers: each step goes back, the length ends it.
    let long = [vec![63; 64], vec![63; 64], vec![63; 64], vec![63; 64], vec![0]].concat();
    assert_eq!(answers(RecordType::Cname, &record(5, &long), 1), Err(NoReply::Broken));
}

#[test]
fn what_answers_something_else_is_foreign() {
    let asked = question("gpu-1.site", RecordType::A);
    let whole = message(&asked, 0, 1, &record(1, &[10, 0, 0, 1]));
    assert!(asked.reply(7, &whole).is_ok());
    assert_eq!(asked.reply(8, &whole), Err(NoReply::Foreign), "another id");
    assert_eq!(asked.reply(7, &asked.message(7)), Err(NoReply::Foreign), "the question itself");
    assert_eq!(asked.reply(7, &whole[..11]), Err(NoReply::Foreign), "less than a head");
    assert_eq!(asked.reply(7, &message(&asked, 1 << 11, 0, b"")), Err(NoReply::Foreign), "another opcode");
    for other in [question("gpu-2.site", RecordType::A), question("gpu-1.site", RecordType::Aaaa)] {
        assert_eq!(asked.reply(7, &message(&other, 0, 0, b"")), Err(NoReply::Foreign), "{other:?}");
    }
    let shouting = asked.reply(7, &message(&asked, 0, 0, b"").to_ascii_uppercase());
    assert!(shouting.is_ok(), "case is no difference");
}

#[test]
fn a_failure_may_leave_the_question_out_and_a_success_may_not() {
    let asked = question("a", RecordType::A);
    let bare = |flags: u16| [7, IS_RESPONSE | flags, 0, 0, 0, 0].map(u16::to_be_bytes).concat();
    assert_eq!(asked.reply(7, &bare(1)).unwrap().rcode, Rcode(1));
    assert_eq!(asked.reply(7, &bare(0)), Err(NoReply::Foreign));
}

#[test]
fn of_an_answer_that_is_cut_off_what_is_whole_counts() {
    let asked = question("a", RecordType::A);
    let rest = [record(1, &[10, 0, 0, 1]), vec![0xc0]].concat();
    let reply = asked.reply(7, &message(&asked, IS_TRUNCATED, 2, &rest)).unwrap();
    assert_eq!((reply.is_truncated, reply.answers), (true, vec!["10.0.0.1".to_owned()]));
}

#[test]
fn no_bytes_make_it_fail() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let byte = |number: u64| u8::try_from(number & 0xff).unwrap();
    let mut read = 0;
    for _ in 0..40_000 {
        let kind =
            [RecordType::A, RecordType::Cname, RecordType::Txt, RecordType::Srv][usize::from(byte(random()) & 3)];
        let asked = question("gpu-1.site", kind);
        let mut content = vec![0; usize::from(byte(random()) & 31)];
        content.fill_with(|| if byte(random()) < 64 { 0xc0 | byte(random()) & 1 } else { byte(random()) & 15 });
        let rest = [record(kind.number(), &content), record(kind.number(), &content)].concat();
        let mut bytes = message(&asked, 0, 2, &rest);
        for _ in 0..byte(random()) & 3 {
            let at = usize::try_from(random()).unwrap() % bytes.len();
            bytes[at] = byte(random());
        }
        bytes.truncate(bytes.len() - usize::from(byte(random()) & 7));
        read += usize::from(asked.reply(7, &bytes).is_ok());
    }
    assert!(read > 100, "only {read} of them said anything, so little was tried");
}
