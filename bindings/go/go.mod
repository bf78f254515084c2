module barman-recover.invalid/barmanrecover

go 1.19
