/** The columns that a history keeps beside those of the rows. */
export interface HistoryColumns {
  readonly validFrom: string;
  readonly validTo: string;
  readonly isCurrent: string;
}
