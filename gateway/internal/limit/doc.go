// Package limit has token buckets, connection counts by address, and rate limits of log lines.
package limit
