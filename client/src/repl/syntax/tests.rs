use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const COMPLETE: &[&str] = &[
    "",
    "\n",
    "ls -l",
    "echo 'a b' \"c $d ${e:-f}\" g\\ h",
    "a=1 b=$(date) ls",
    "echo $((1 + (2 * 3)))",
    "echo $(( 1 )) $( (echo a) )",
    "echo `date` \"`date`\"",
    "# only 'a comment",
    "echo a # it's",
    "echo a#b",
    "if true; then echo; elif false; then echo; else echo; fi",
    "if true\nthen\n echo\nfi",
    "while read l; do echo $l; done < f",
    "until false; do break; done",
    "for x in a b c; do echo $x; done",
    "for x; do echo; done",
    "for x\ndo echo; done",
    "for x in a\ndo echo; done | wc -l",
    "case $x in a|b) echo;; (c) ;; *) echo; esac",
    "case x in\n a) echo\n ;;\nesac",
    "case x in esac",
    "f() { echo; }",
    "f () ( echo )",
    "f()\n{\n echo\n}",
    "{ echo; }",
    "( echo; )",
    "echo a && echo b || echo c",
    "echo a |\n cat",
    "echo a &&\n\n cat",
    "echo a \\\n b",
    "cat <<EOF\nit's $x\nEOF",
    "cat <<'E F'\n$(\nE F",
    "cat <<-EOF\n\ta\n\tEOF",
    "cat <<A <<B\na\nA\nb\nB",
    "cat <<\\EOF | wc\na\nEOF",
    "x=$(cat <<EOF\n)\nEOF\n)",
    "cat <<A; echo $(\necho b\n)\na\nA",
    "! true",
    "sleep 1 &",
    "ls 2>&1 >/dev/null <&-",
    "echo if then fi done esac { }",
    "a=if; echo $a",
    "if (true) then (echo) fi",
    "if true; then if true; then echo; fi; fi",
    "while true; do case x in x) break;; esac; done",
    "echo \"$(echo \"$(echo 'a)b')\")\"",
    "echo $(case x in x) echo;; esac)",
    "echo ${x:-\"}\"}",
    "'if' true",
    "\\if true",
    "if=1",
    "echo }",
    "echo \"a\\\"b\"",
    "echo 'a\\'",
    "echo $# $? $$ $! $- $@ $* $0",
    "echo a; # if\n",
];

/// What bash and zsh have besides.
const MORE: &[&str] = &[
    "[[ -f a && ( -n $b || $c =~ ^(x|y)$ ) ]]",
    "[[ a\n ]]",
    "(( x++ ))",
    "(( x = 1 << 2 )) && echo",
    "for ((i = 0; i < 3; i++)); do echo; done",
    "for ((;;)); do break; done",
    "echo $'it\\'s'",
    "cat <<< 'a b'",
    "function f { echo; }",
    "function f() { echo; }",
    "diff <(ls a) >(cat)",
    "a=(1 2\n 3 # four\n)",
    "a+=(1)",
    "a[1]=(x)",
    "echo a &> f; echo b &>> f",
    "echo a |& cat",
    "((echo a); (echo b))",
    "select x in a b; do break; done",
    "echo \"${x#'}'}\"",
    "case x in x) echo ;& y) echo ;;& *) esac",
    "shopt -s extglob\n",
    "time ls",
    "for x in a; { echo; }",
];

const OPEN: &[(&str, Open)] = &[
    ("echo 'a", Open::Quote),
    ("echo \"a", Open::Quote),
    ("echo \"a\n\nb", Open::Quote),
    ("echo ${a", Open::Quote),
    ("echo `date", Open::Quote),
    ("echo a \\", Open::Line),
    ("echo a \\\n", Open::Line),
    ("echo a |", Open::Command),
    ("echo a &&\n\n", Open::Command),
    ("a ||", Open::Command),
    ("f()", Open::Command),
    ("f() {", Open::Compound),
    ("if true", Open::Compound),
    ("if true; then", Open::Compound),
    ("if true; then echo; else", Open::Compound),
    ("while true; do", Open::Compound),
    ("for x in a b", Open::Compound),
    ("for x", Open::Compound),
    ("case x", Open::Compound),
    ("case x in", Open::Compound),
    ("case x in a)", Open::Compound),
    ("case x\nin a)", Open::Compound),
    ("case x in a) echo;;", Open::Compound),
    ("{ echo", Open::Compound),
    ("( echo", Open::Compound),
    ("echo $(date", Open::Compound),
    ("echo \"$(date", Open::Compound),
    ("cat <<EOF", Open::Heredoc),
    ("cat <<EOF\nEOFF\n EOF", Open::Heredoc),
    ("cat <<EOF\na\n", Open::Heredoc),
    ("if true; then cat <<EOF\nfi\nEOF\n", Open::Compound),
    ("if true; then echo; # fi", Open::Compound),
    ("f() {\n echo }", Open::Compound),
];

const OPEN_MORE: &[(&str, Open)] = &[
    ("echo $'a\\'", Open::Quote),
    ("[[ -f a", Open::Compound),
    ("(( x", Open::Compound),
    ("echo $((1 + 2)", Open::Compound),
    ("a=(1", Open::Compound),
    ("function f", Open::Command),
    ("diff <(ls", Open::Compound),
];

/// What no shell takes: it may say so.
const WRONG: &[&str] = &[
    "fi",
    "echo )",
    ")",
    "| cat",
    "&& a",
    "if true; fi; then 'a",
    "done; if true",
    "}",
    "cat <<",
    "cat >",
    "echo a > > b",
    "for\n",
    "if true; then echo; done",
    "esac",
    ";; x",
    "a (b",
    "if true; then echo) 'x",
];

/// What some shells take and others do not.
const DOUBTFUL: &[&str] = &["echo \"${x:-it's}\"", "f() { echo }", "{ echo } always { echo; }"];

#[test]
fn complete_texts_are_complete() {
    for text in COMPLETE.iter().chain(MORE).chain(DOUBTFUL) {
        assert_eq!(is_complete(text.as_bytes()), Completeness::Complete, "{text:?}");
    }
}

#[test]
fn open_texts_say_what_is_open() {
    for (text, open) in OPEN.iter().chain(OPEN_MORE) {
        assert_eq!(is_complete(text.as_bytes()), Completeness::Open(*open), "{text:?}");
    }
}

#[test]
fn the_shell_may_judge_what_is_wrong() {
    for text in WRONG {
        assert_eq!(is_complete(text.as_bytes()), Completeness::Complete, "{text:?}");
    }
}

/// What a shell says to `text`, without running it; `None` without that shell.
fn shell_takes(shell: &str, text: &str) -> Option<bool> {
    let mut child = Command::new(shell)
        .arg("-n")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take().unwrap().write_all(text.as_bytes()).ok();
    let output = child.wait_with_output().unwrap();
    // An unended heredoc is a warning only.
    Some(output.status.success() && !String::from_utf8_lossy(&output.stderr).contains("here-document"))
}

#[test]
fn shells_think_the_same() {
    for (shell, knows_more) in [("sh", false), ("bash", true), ("mksh", false)] {
        let complete = COMPLETE.iter().chain(MORE.iter().filter(|_| knows_more));
        for text in complete {
            let found = shell_takes(shell, &format!("{text}\n"));
            assert_ne!(found, Some(false), "{shell} does not take {text:?}");
        }
        let open = OPEN.iter().chain(OPEN_MORE.iter().filter(|_| knows_more));
        for (text, open) in open {
            // Some shells take the end of the text for the end of these, and mksh for that of nearly all.
            if *open == Open::Line || (*open == Open::Heredoc && shell != "bash") || shell == "mksh" {
                continue;
            }
            let found = shell_takes(shell, text);
            assert_ne!(found, Some(true), "{shell} takes {text:?}");
        }
    }
}

#[test]
fn a_text_is_cut_into_its_commands() {
    let cut = |text: &str| {
        let cut = commands(text.as_bytes());
        cut.into_iter().map(|range| text[range].trim_end().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(cut("a\nb; c\n\nd"), ["a", "b; c", "", "d"]);
    assert_eq!(cut("if a\nthen b\nfi\nc"), ["if a\nthen b\nfi", "c"]);
    assert_eq!(cut("cat <<E\nx\n\nE\nc"), ["cat <<E\nx\n\nE", "c"]);
    assert_eq!(cut(":env A=it's\nif a\n:b\nfi\n:quit"), [":env A=it's", "if a\n:b\nfi", ":quit"]);
    assert_eq!(cut("a\nfi\nb 'x\ny'\nc \"z"), ["a", "fi", "b 'x\ny'", "c \"z"]);
    assert_eq!(cut("f() { echo }\nnext"), ["f() { echo }", "next"]);
}

#[test]
fn words_have_their_kinds() {
    use PieceKind::{
        Argument, Command, Comment, Error, Operator, Option, Reserved, String as Quoted, Variable,
    };
    let cases: &[(&str, &[(&str, PieceKind)])] = &[
        ("ls -l a", &[("ls", Command), ("-l", Option), ("a", Argument)]),
        ("A=1 ls", &[("A=1", Variable), ("ls", Command)]),
        (
            "if a; then b",
            &[("if", Reserved), ("a", Command), (";", Operator), ("then", Reserved), ("b", Command)],
        ),
        ("ls | wc # x", &[("ls", Command), ("|", Operator), ("wc", Command), ("# x", Comment)]),
        ("echo 'a'$b\"c\"", &[("echo", Command), ("'a'", Quoted), ("$b", Variable), ("\"c\"", Quoted)]),
        ("a 2>f", &[("a", Command), ("2>", Operator), ("f", Argument)]),
        ("a; fi", &[("a", Command), (";", Operator), ("fi", Error)]),
        ("a $(b)", &[("a", Command), ("$(", Variable), ("b", Command), (")", Variable)]),
        ("a 'b", &[("a", Command), ("'b", Quoted)]),
        ("a\\ é b", &[("a", Command), ("\\ ", Command), ("é", Command), ("b", Argument)]),
        (":env 'a\nls", &[("ls", Command)]),
    ];
    for (text, expected) in cases {
        let found = pieces(text.as_bytes());
        let found: Vec<_> = found.iter().map(|piece| (&text[piece.range.clone()], piece.kind)).collect();
        assert_eq!(found, *expected, "{text:?}");
    }
}

#[test]
fn the_word_at_the_cursor_is_found() {
    let cases = [
        ("", Some((0, Role::Command, Quote::Bare))),
        ("ls", Some((0, Role::Command, Quote::Bare))),
        ("ls ", Some((3, Role::Argument, Quote::Bare))),
        ("ls a\\ b", Some((3, Role::Argument, Quote::Bare))),
        ("ls 'a b", Some((3, Role::Argument, Quote::Single))),
        ("ls x\"a b", Some((3, Role::Argument, Quote::Double))),
        ("ls >f", Some((4, Role::File, Quote::Bare))),
        ("ls; wc", Some((4, Role::Command, Quote::Bare))),
        ("A=b", Some((0, Role::Argument, Quote::Bare))),
        ("echo $HO", Some((6, Role::Variable, Quote::Bare))),
        ("echo \"a ${HO", Some((10, Role::Variable, Quote::Double))),
        ("echo '$HO", Some((5, Role::Argument, Quote::Single))),
        ("echo \\$HO", Some((5, Role::Argument, Quote::Bare))),
        ("echo $(l", Some((7, Role::Command, Quote::Bare))),
        ("if a\nthen b", Some((10, Role::Command, Quote::Bare))),
        ("ls # a", None),
        ("cat <<E\nab", None),
        (":env a", None),
        ("echo `a", None),
    ];
    for (text, expected) in cases {
        let found = word_at(text.as_bytes(), text.len());
        assert_eq!(found.map(|word| (word.start, word.role, word.quote)), expected, "{text:?}");
    }
    assert_eq!(word_at(b"ls a", 2).map(|word| word.role), Some(Role::Command));
}

#[test]
fn long_texts_take_time_in_proportion() {
    let repeated = |text: &str| text.repeat(1_000_000 / text.len());
    let texts = [
        repeated("$("),
        repeated("<<A "),
        format!("{}{}", repeated("<<A "), repeated("$(x) ")),
        format!("{}\n{}", repeated("<<A "), repeated("A\n")),
        repeated("(("),
        repeated("$(("),
        repeated("if "),
        repeated("a\n"),
        repeated("'\n"),
        repeated("\\\n"),
        repeated("a=("),
        repeated("\"$(\""),
        repeated("<<"),
        repeated("f() "),
        repeated("{"),
        repeated("case x in "),
    ];
    for text in texts {
        let start = Instant::now();
        is_complete(text.as_bytes());
        commands(text.as_bytes());
        pieces(text.as_bytes());
        word_at(text.as_bytes(), text.len());
        // Far more than is needed, far less than the square of it.
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}… took {:?}", &text[..20], start.elapsed());
    }
}

/// Texts that look like shell.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "if", "then", "else", "elif", "fi", "while", "do", "done", "for", "in", "case", "esac", "{", "}",
        "(", ")", "((", "))", "[[", "]]", "$(", "$((", "${", "'", "\"", "`", "\\", "\n", " ", ";", ";;",
        "&&", "||", "|", "&", "<", ">", "<<", "<<-", "<<<", "EOF", "#", "$", "$'", "x", "x=", "é",
        "\u{fffd}", ":", "f()", "function", "!", "-a", "1",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => Just(b" ".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_text_is_cut_without_loss(text in texts()) {
        check(&text);
    }

    #[test]
    fn good_texts_can_be_cut_anywhere(index in 0..COMPLETE.len() + MORE.len(), at in 0_usize..100) {
        let text = COMPLETE.iter().chain(MORE).nth(index).unwrap().as_bytes();
        check(&text[..at.min(text.len())]);
    }
}

/// What holds of any text.
fn check(text: &[u8]) {
    let cut = commands(text);
    let mut end = 0;
    for (index, range) in cut.iter().enumerate() {
        assert_eq!(range.start, end);
        assert!(range.end > range.start);
        end = range.end;
        let is_last = index + 1 == cut.len();
        let completeness = is_complete(&text[range.clone()]);
        assert!(is_last || completeness == Completeness::Complete);
        if is_last {
            assert_eq!(completeness, is_complete(text));
        }
        assert_eq!(commands(&text[range.clone()]).len(), 1);
    }
    assert_eq!(end, text.len());
    let mut end = 0;
    for piece in pieces(text) {
        assert!(piece.range.start >= end && piece.range.start < piece.range.end, "{piece:?}");
        assert_ne!(piece.kind, PieceKind::Word);
        end = piece.range.end;
        if let Ok(text) = std::str::from_utf8(text) {
            assert!(text.is_char_boundary(piece.range.start) && text.is_char_boundary(end), "{piece:?}");
        }
    }
    assert!(end <= text.len());
    for cursor in 0..=text.len() {
        assert!(word_at(text, cursor).is_none_or(|word| word.start <= cursor));
    }
}
