// Package client knows a loop's clients, whatever they speak: their rights, their subscriptions and
// how these begin, catch up and end, their rates, what happens to slow ones, and why they are
// closed. A Protocol speaks with them.
package client
