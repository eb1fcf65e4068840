//! Colours: there for a person at a terminal who wants them, and never in what a program reads.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::Command;

use tests::{DEADLINE, Ran, Screen, TestServer, wait_until};
use vt100::Color;

const RED: Color = Color::Idx(1);
const GREEN: Color = Color::Idx(2);

/// What takes colours away.
const WITHOUT: [(&str, &str); 2] = [("NO_COLOR", "1"), ("TERM", "dumb")];

/// A server with a job that runs and one that has failed.
fn server_with_jobs() -> TestServer {
    let server = TestServer::start();
    server.run(["--detach", "--id", "a-runs", "sleep 1000"]).exits(0);
    server.run(["--detach", "--id", "b-failed", "exit 3"]).exits(0);
    Ran::of(server.client().args(["wait", "b-failed"])).exits(3);
    server
}

/// The screen on which this ran to its end.
#[track_caller]
fn shown(server: &TestServer, command: &mut Command, variables: &[(&str, &str)]) -> Screen {
    command.envs(variables.iter().copied());
    let mut screen = Screen::new(24, 200);
    let mut program = screen.start(server, command);
    wait_until("the client ends", DEADLINE, || {
        screen.text();
        program.try_wait().unwrap().is_some()
    });
    screen
}

/// The colour of the first place where `text` is.
#[track_caller]
fn colour_of(screen: &mut Screen, text: &str) -> Color {
    let shown = screen.text();
    let found = shown.lines().enumerate().find_map(|(row, line)| Some((row, line.find(text)?)));
    let (row, column) = found.unwrap_or_else(|| panic!("no {text} in {shown}"));
    screen.colour(row.try_into().unwrap(), column.try_into().unwrap())
}

#[test]
fn a_state_has_a_colour_and_what_is_beside_it_has_none() {
    let server = server_with_jobs();
    let jobs = |variables: &[_]| shown(&server, server.client().args(["jobs", "--all"]), variables);
    let mut screen = jobs(&[]);
    let mut colour = |text| colour_of(&mut screen, text);
    assert_eq!((colour("running"), colour("exited 3")), (GREEN, RED));
    assert_eq!(
        (colour("a-runs"), colour("sleep"), colour("STATE")),
        (Color::Default, Color::Default, Color::Default)
    );
    for without in WITHOUT {
        let mut screen = jobs(&[without]);
        let mut colour = |text| colour_of(&mut screen, text);
        assert_eq!((colour("running"), colour("exited 3")), (Color::Default, Color::Default), "{without:?}");
    }
    // The table is the same, with and without.
    let lines = |mut screen: Screen| {
        screen.text().lines().map(|line| line.replace(char::is_numeric, "")).collect::<Vec<_>>()
    };
    assert_eq!(lines(jobs(&[])), lines(jobs(&WITHOUT)));
    let piped = Ran::of(server.client().env("TERM", "xterm").args(["jobs", "--all"])).succeeds();
    assert!(piped.contains("exited 3") && !piped.contains('\x1b'), "{piped:?}");
}

#[test]
fn a_failure_shows_in_its_name() {
    let server = TestServer::start();
    let fails = |variables: &[_]| {
        shown(&server, server.bare_client().args(["-H", "unix:/no/such/socket", "run", "true"]), variables)
    };
    let mut screen = fails(&[]);
    assert_eq!(colour_of(&mut screen, "client:"), RED);
    assert_eq!(colour_of(&mut screen, "/no/such"), Color::Default);
    for without in WITHOUT {
        assert_eq!(colour_of(&mut fails(&[without]), "client:"), Color::Default, "{without:?}");
    }
    let mut piped = server.bare_client();
    let ran =
        Ran::of(piped.env("TERM", "xterm").args(["-H", "unix:/no/such/socket", "run", "true"])).exits(125);
    assert!(ran.errors().starts_with("client: ") && !ran.errors().contains('\x1b'), "{ran:?}");
}

#[test]
fn what_a_server_says_colours_nothing() {
    let server = TestServer::start();
    server.run(["--detach", "--id", "red", "sleep 1000; echo '\x1b[31mred'"]).exits(0);
    let mut screen = shown(&server, server.client().arg("jobs"), &[]);
    assert_eq!(colour_of(&mut screen, "\\x1b[31mred"), Color::Default);
}
