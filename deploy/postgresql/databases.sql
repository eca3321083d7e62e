-- Beside Dagster's: one database for each that keeps something, so that each is backed up, moved and read by its own.
CREATE DATABASE mlflow;
CREATE DATABASE online;
CREATE DATABASE alerts;
CREATE DATABASE decisions;
CREATE DATABASE registry;
