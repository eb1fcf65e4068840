//! Standard input: everything that the command reads, and nothing that it does not.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use tests::{Ran, Running, TestServer, noise};

#[test]
fn a_loop_over_a_file_runs_once_for_every_line() {
    let server = TestServer::start();
    let hosts = server.file("hosts", "a\nb\nc\n");
    let script = "while read host; do $CLIENT run true; echo \"did $host\"; done < \"$0\"";
    let ran = Ran::of(server.script("/bin/sh", script).arg(hosts));
    assert_eq!(ran.succeeds(), "did a\ndid b\ndid c\n");
}

#[test]
fn a_loop_over_a_pipe_runs_once_for_every_line() {
    let server = TestServer::start();
    let script = "printf 'a\\nb\\nc\\n' | while read host; do $CLIENT run true; echo \"did $host\"; done";
    assert_eq!(Ran::of(&mut server.script("/bin/sh", script)).succeeds(), "did a\ndid b\ndid c\n");
}

#[test]
fn a_loop_over_a_pipe_that_is_still_being_written_runs_once_for_every_line() {
    let server = TestServer::start();
    let script = "while read host; do $CLIENT run 'exit 3'; echo \"did $host\"; done";
    let mut shell = Running::start(&mut server.script("/bin/sh", script));
    for host in ["a", "b", "c"] {
        shell.write(format!("{host}\n").as_bytes());
        shell.wait_for_stdout(&format!("did {host}\n"));
    }
    assert_eq!(shell.finish().succeeds(), "did a\ndid b\ndid c\n");
}

#[test]
fn a_file_is_left_where_the_command_stopped_reading() {
    let server = TestServer::start();
    let file = server.file("numbers", "first line\nsecond line\nthird line\n");
    let script = "($CLIENT run 'read line; echo \"one: $line\"'; \
                  $CLIENT run 'read line; echo \"two: $line\"'; \
                  cat) < \"$0\"";
    let ran = Ran::of(server.script("/bin/sh", script).arg(file));
    assert_eq!(ran.succeeds(), "one: first line\ntwo: second line\nthird line\n");
}

#[test]
fn a_large_file_is_left_where_the_command_stopped_reading() {
    let server = TestServer::start();
    let bytes = noise(5_000_000);
    let file = server.file("large", &bytes);
    let script = "($CLIENT run -- head -c 1234567 > /dev/null; cat) < \"$0\"";
    let ran = Ran::of(server.script("/bin/sh", script).arg(file)).exits(0);
    assert_eq!(ran.stdout.len(), bytes.len() - 1_234_567);
    assert!(ran.stdout == bytes[1_234_567..], "the rest is not what follows");
}

#[test]
fn a_file_is_read_from_where_it_stands() {
    let server = TestServer::start();
    let file = server.file("numbers", "first line\nsecond line\n");
    let script = "(read skipped; $CLIENT run -- cat; echo end; cat) < \"$0\"";
    let ran = Ran::of(server.script("/bin/sh", script).arg(file));
    assert_eq!(ran.succeeds(), "second line\nend\n");
}

#[test]
fn no_stdin_leaves_everything() {
    let server = TestServer::start();
    for option in ["-n", "--no-stdin"] {
        let script = format!("printf 'a\\nb\\n' | ($CLIENT run {option} cat; echo then; cat)");
        assert_eq!(Ran::of(&mut server.script("/bin/sh", &script)).succeeds(), "then\na\nb\n");
    }
}

#[test]
fn a_file_of_its_own_takes_the_place_of_stdin() {
    let server = TestServer::start();
    let file = server.file("input", "from the file\n");
    let mut command = server.client();
    command.args(["run", "--stdin"]).arg(file).arg("cat");
    assert_eq!(Ran::with_input(&mut command, b"not this\n").succeeds(), "from the file\n");
}

#[test]
fn a_file_of_its_own_that_is_missing_starts_nothing() {
    let server = TestServer::start();
    let message = server.run(["--stdin", "/no/such/file", "echo ran"]).complains("client", 125);
    assert!(message.contains("/no/such/file"), "{message}");
}

#[test]
fn a_closed_stdin_is_an_empty_one() {
    let server = TestServer::start();
    let ran = Ran::of(&mut server.script("/bin/sh", "$CLIENT run 'cat; echo done' <&-"));
    assert_eq!(ran.succeeds(), "done\n");
}

#[test]
fn the_end_of_stdin_is_not_the_end_of_the_command() {
    let server = TestServer::start();
    assert_eq!(server.run_with_input(["cat; echo done"], b"input\n").succeeds(), "input\ndone\n");
}

#[test]
fn the_end_of_the_command_does_not_wait_for_the_end_of_stdin() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().args(["run", "echo hello; exit 2"]));
    client.wait_for_stdout("hello\n");
    tests::wait_until("the client ends while its stdin is open", tests::DEADLINE, || client.has_ended());
    client.finish().exits(2);
}

#[test]
fn a_command_that_closes_its_stdin_is_fed_no_further() {
    let server = TestServer::start();
    let ran = server.run_with_input(["exec <&-; echo closed; exit 3"], &noise(8_000_000)).exits(3);
    assert_eq!(ran.text(), "closed\n");
}

#[test]
fn a_line_of_ten_megabytes_goes_in_whole() {
    let server = TestServer::start();
    let line = [vec![b'x'; 10_000_000], b"\n".to_vec()].concat();
    assert_eq!(server.run_with_input(["wc -lc"], &line).succeeds().trim().replace(' ', ""), "110000001");
}

#[test]
fn the_clients_own_descriptors_are_left_as_they_were() {
    let server = TestServer::start();
    let script = "flags() { grep -h flags /proc/$$/fdinfo/0 /proc/$$/fdinfo/1 /proc/$$/fdinfo/2 >&3; }; \
                  flags; $CLIENT run 'head -c 3; echo error >&2'; flags";
    let wrapped = format!("exec 3> \"$0\"; echo input | ({script}) | cat");
    let flags = server.path("flags");
    let ran = Ran::of(server.script("/bin/sh", &wrapped).arg(&flags)).exits(0);
    assert_eq!((ran.text().as_str(), ran.errors().as_str()), ("inp", "error\n"));
    let flags = std::fs::read_to_string(flags).unwrap();
    let lines: Vec<&str> = flags.lines().collect();
    assert_eq!(lines.len(), 6, "{flags}");
    assert_eq!(lines[..3], lines[3..]);
}

#[test]
fn a_directory_as_stdin_harms_nobody_who_does_not_read() {
    let server = TestServer::start();
    Ran::of(&mut server.script("/bin/sh", "$CLIENT run true < /tmp")).succeeds();
}

#[test]
fn a_directory_that_was_named_is_no_input() {
    let server = TestServer::start();
    let message = server.run(["--stdin", "/", "cat"]).complains("client", 125);
    assert!(message.contains("is a directory"), "{message}");
}

#[test]
fn a_command_that_wants_one_byte_of_a_gibibyte_is_over_at_once() {
    let server = TestServer::start();
    let file = server.path("gibibyte");
    std::fs::File::create(&file).unwrap().set_len(1 << 30).unwrap();
    let start = std::time::Instant::now();
    let mut client = server.client();
    let ran = Running::start_with(
        client.args(["run", "--", "head", "-c", "1"]),
        std::fs::File::open(file).unwrap(),
    );
    assert_eq!(ran.finish().succeeds(), "\0");
    assert!(start.elapsed() < std::time::Duration::from_secs(3), "{:?}", start.elapsed());
}

#[test]
fn what_is_written_a_little_at_a_time_arrives_whole_whoever_keeps_the_job() {
    let server = TestServer::start();
    for options in [&[][..], &["--id", "slow"], &["--on-disconnect", "keep"]] {
        let mut client = Running::start(server.client().arg("run").args(options).arg("cat; exit 3"));
        let mut expected = String::new();
        for line in ["a\n", "b\n", "c\n"] {
            client.write(line.as_bytes());
            expected.push_str(line);
            client.wait_for_stdout(&expected);
        }
        client.close_stdin();
        assert_eq!(client.finish().exits(3).text(), expected, "{options:?}");
    }
}

#[test]
fn a_writer_that_fills_the_pipe_in_the_middle_of_a_write_is_not_left_there() {
    let server = TestServer::start();
    let mut client = Running::start(server.client().args(["run", "dd bs=1 count=2 2>/dev/null; wc -c"]));
    client.write(b"ab");
    client.wait_for_stdout("ab");
    client.write(&[b'x'; 200_000]);
    client.close_stdin();
    assert_eq!(client.finish().succeeds(), "ab200000\n");
}
