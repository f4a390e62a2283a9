#!/usr/bin/env node
// A policy as strfry's own documentation has it, in JavaScript: no kind 7.

const lines = require('readline').createInterface({
    input: process.stdin,
    terminal: false,
});

lines.on('line', (line) => {
    const request = JSON.parse(line);
    const answer = { id: request.event.id };
    if (request.event.kind === 7) {
        answer.action = 'reject';
        answer.msg = 'blocked: no reactions';
    } else {
        answer.action = 'accept';
    }
    console.log(JSON.stringify(answer));
});
